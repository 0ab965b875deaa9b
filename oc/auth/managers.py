"""The configured managers and their providers, and who serves a request (spec auth.md 1, 1.1, 1.9, 2.2)."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from oc.auth.providers import PROVIDER_MAKERS, Provider, ProviderContext, ProviderError, ProviderMaker
from oc.errors import AuthenticationError

logger = logging.getLogger(__name__)

MANAGER_NAMES: Final = ("external", "metaexplicit", "explicit", "implicit")
"""The managers, in look-up order."""

MAX_PROVIDER_NAME: Final = 256
META_PROVIDER: Final = "metadirectory"


class ManagerSettings(Protocol):
    """What is read of one entry of the configuration key ``authmanagers``."""

    @property
    def enabled(self) -> bool: ...
    @property
    def show_domains(self) -> bool: ...
    @property
    def default_domain(self) -> str | None: ...
    @property
    def providers(self) -> Mapping[str, Mapping[str, Any]]: ...


@dataclass(frozen=True, slots=True)
class Manager:
    """One manager; ``providers``: folded name -> provider, in the order of the configuration."""

    name: str
    providers: Mapping[str, Provider] = field(default_factory=dict)
    show_domains: bool = False
    configured_default: str | None = None

    def find(self, name: str) -> Provider | None:
        """The provider of that name in any case."""
        return self.providers.get(name.casefold())

    @property
    def default_provider(self) -> str | None:
        """The name of the provider for a login that names none: the configured one, else the first marked default."""
        if self.configured_default:
            wanted = self.configured_default.casefold()
            by_domain = (p for p in self.providers.values() if (getattr(p, "domain", "") or "").casefold() == wanted)
            named = self.find(self.configured_default) or next(by_domain, None)
            if named is not None:
                return named.name
        return next((provider.name for provider in self.providers.values() if provider.keys.default), None)

    def public(self) -> dict[str, Any]:
        """The manager as the login page knows it."""
        description: dict[str, Any] = {"name": self.name}
        if self.name == "explicit":
            description["default_domain"] = self.default_provider
            description["show_domains"] = self.show_domains
        description["providers"] = [provider.public() for provider in self.providers.values() if provider.visible]
        return description


class Managers:
    """All managers. Built once; a provider that cannot be used is logged and left out, the others stay."""

    def __init__(
        self,
        settings: Mapping[str, ManagerSettings],
        context: ProviderContext,
        makers: Mapping[str, ProviderMaker] = PROVIDER_MAKERS,
    ) -> None:
        self._managers: list[Manager] = []
        context = replace(context, home=self._home)
        for name in settings:
            if name not in MANAGER_NAMES:
                logger.error("authmanagers.%s: unknown manager, it is ignored", _shown(name))
        for name in MANAGER_NAMES:
            given = settings.get(name)
            if given is not None and given.enabled:
                self._managers.append(_manager(name, given, context, makers.get(name)))
        self._warn_about_hidden_names()

    def __iter__(self) -> Iterator[Manager]:
        return iter(self._managers)

    def manager(self, name: str) -> Manager | None:
        """The manager, None when it is switched off or not configured."""
        return next((manager for manager in self._managers if manager.name == name), None)

    def find(self, name: str, manager: str | None = None) -> Provider:
        """The provider ``name`` in any case, of ``manager`` or of the first manager that has one.

        Raises AuthenticationError (401) naming it when there is none.
        """
        for candidate in self._managers:
            if manager in (None, candidate.name):
                found = candidate.find(name)
                if found is not None:
                    return found
        raise AuthenticationError(f"authentication provider {_shown(name)} not found", doing="choose a provider")

    def for_request(self, name: object) -> Provider:
        """The provider for the field ``provider`` of an ``auth`` request, which may hold anything.

        Raises AuthenticationError: ``missing provider parameter``, or naming an unknown provider.
        """
        if name is None:
            meta = self.manager("metaexplicit")
            provider = meta.find(META_PROVIDER) if meta else None
            if provider is not None and provider.keys.default:
                return provider
        if not isinstance(name, str) or not name:
            raise AuthenticationError("missing provider parameter", doing="choose a provider")
        return self.find(name)

    def public(self) -> dict[str, Any]:
        """The answer of ``getauthconfig``. A manager without providers says nothing to a login page."""
        return {"managers": [manager.public() for manager in self._managers if manager.providers]}

    def _home(self, domain: str | None) -> Provider | None:
        """The explicit provider of a NetBIOS domain; without one the default provider, or the only one."""
        manager = self.manager("explicit")
        if manager is None:
            return None
        known = list(manager.providers.values())
        if domain is not None:
            wanted = domain.casefold()
            return next((p for p in known if (getattr(p, "domain", "") or "").casefold() == wanted), None)
        if len(known) == 1:
            return known[0]
        return manager.find(manager.default_provider) if manager.default_provider else None

    def _warn_about_hidden_names(self) -> None:
        owners: dict[str, str] = {}
        for manager in self._managers:
            for folded, provider in manager.providers.items():
                owner = owners.setdefault(folded, manager.name)
                if owner != manager.name:
                    logger.warning(
                        "authmanagers.%s.providers.%s: a login by this name goes to the manager %s",
                        manager.name,
                        _shown(provider.name),
                        owner,
                    )


def _manager(name: str, settings: ManagerSettings, context: ProviderContext, maker: ProviderMaker | None) -> Manager:
    providers: dict[str, Provider] = {}
    for provider_name, given in settings.providers.items():
        where = f"authmanagers.{name}.providers.{_shown(provider_name)}"
        if not isinstance(given, Mapping):
            logger.error("%s: expected a dict, the provider is left out", where)
        elif given.get("enabled", True) is not True:
            continue
        elif maker is None:
            logger.error("%s: this version has no %s login, the provider is left out", where, name)
        elif not provider_name or len(provider_name) > MAX_PROVIDER_NAME:
            logger.error("%s: the name is empty or too long, the provider is left out", where)
        elif provider_name.casefold() in providers:
            logger.error("%s: another provider has this name in another case, this one is left out", where)
        else:
            try:
                providers[provider_name.casefold()] = maker(provider_name, given, context)
            except ProviderError as error:
                logger.error("%s: the provider is left out: %s", where, error)
    return Manager(name, providers, settings.show_domains, settings.default_domain)


def _shown(name: str) -> str:
    """A name from outside as logs and answers may hold it."""
    text = "".join(character if character.isprintable() else "?" for character in name[:64])
    return text if len(name) <= 64 else f"{text}…"
