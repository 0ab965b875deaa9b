"""The tree of login managers and providers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

from oc.od.settings.containers import JsonDict, JsonMapping, Record, text_keys, unknown_text
from oc.od.settings.declaration import Kind, Place, Rejected, Report, option
from oc.od.settings.kinds import Flag, Nullable, Text
from oc.od.settings.provider_keys import check_provider

MANAGER_NAMES: Final = ("external", "metaexplicit", "explicit", "implicit")
"""The managers, in look-up order."""


@dataclasses.dataclass(frozen=True)
class AuthManager:
    """One manager. `providers`: name -> the provider's dict, `config_ref` already merged."""

    enabled: bool = option(Flag(), True, key="enabled", meaning="False switches the whole manager off.")
    show_domains: bool = option(
        Flag(), False, key="show_domains", meaning="`explicit`: tells the login page the domains."
    )
    default_domain: str | None = option(
        Nullable(Text("a provider name", longest=256)),
        None,
        key="default_domain",
        meaning="`explicit`: provider used when the login names none.",
        default_text="the first provider with `default: True`",
    )
    rules: JsonMapping | None = option(
        Nullable(JsonDict()),
        None,
        key="rules",
        meaning="`explicit`: rules whose first label names the provider when the login names none.",
    )
    providers: Mapping[str, JsonMapping] = option(
        JsonDict(), {}, key="providers", meaning="Provider name -> dict.", secret=True
    )


class Managers(Kind[Mapping[str, AuthManager]]):
    """Manager name -> manager; every manager is present in the result, in look-up order."""

    record: Final = Record(AuthManager)

    @staticmethod
    def empty() -> Mapping[str, AuthManager]:
        return {name: AuthManager() for name in MANAGER_NAMES}

    def parse(self, value: object, at: Place) -> Mapping[str, AuthManager]:
        items = text_keys(value, at, "a dict: manager name -> dict", 100)
        given: dict[str, AuthManager] = {}
        good = True
        for name, item in items.items():
            if name not in MANAGER_NAMES:
                at.child(name).warn(unknown_text(name, MANAGER_NAMES).replace("key", "manager", 1))
                continue
            try:
                given[name] = self._manager(name, item, at.child(name))
            except Rejected:
                good = False
        if not good:
            raise Rejected
        return {name: given.get(name, AuthManager()) for name in MANAGER_NAMES}

    def _manager(self, name: str, value: object, at: Place) -> AuthManager:
        """One manager; a provider that is no dict is left out with a warning, the others stay."""
        manager = self.record.parse(value, at)
        providers: dict[str, JsonMapping] = {}
        for provider, values in manager.providers.items():
            place = at.child("providers").child(provider)
            if isinstance(values, Mapping):
                check_provider(name, values, place)
                providers[provider] = values
            else:
                place.warn(f"{place.shown(values)} is no dict, this provider is left out")
        return dataclasses.replace(manager, providers=providers)

    def dump(self, value: Mapping[str, AuthManager]) -> object:
        return {name: self.record.dump(manager) for name, manager in value.items()}

    @property
    def name(self) -> str:
        return "dict manager -> dict"

    def nested(self) -> type[Any]:
        return AuthManager


def referenced_keys(given: Mapping[str, object]) -> frozenset[str]:
    """Top-level keys that some provider names in `config_ref`."""
    found: set[str] = set()
    managers = given.get("authmanagers")
    for manager in managers.values() if isinstance(managers, Mapping) else ():
        providers = manager.get("providers") if isinstance(manager, Mapping) else None
        for provider in providers.values() if isinstance(providers, Mapping) else ():
            name = provider.get("config_ref") if isinstance(provider, Mapping) else None
            if isinstance(name, str):
                found.add(name)
    return frozenset(found)


def resolve_references(given: Mapping[str, object], report: Report) -> dict[str, object] | None:
    """`authmanagers` with each provider's `config_ref` merged over its own dict; None when there is none."""
    managers = given.get("authmanagers")
    if not isinstance(managers, Mapping):
        return None
    resolved: dict[str, object] = {}
    for name, manager in managers.items():
        providers = manager.get("providers") if isinstance(manager, Mapping) else None
        if isinstance(manager, Mapping) and isinstance(providers, Mapping):
            merged = {
                provider: _merged(str(provider), values, given, report.at("authmanagers", name, "providers", provider))
                for provider, values in providers.items()
            }
            resolved[name] = {**manager, "providers": merged}
        else:
            resolved[name] = manager
    return resolved


def _merged(name: str, values: object, given: Mapping[str, object], at: Place) -> object:
    """One provider's dict with its reference merged over it."""
    if not isinstance(values, Mapping) or values.get("config_ref") is None:
        return values
    reference = values["config_ref"]
    target = given.get(reference) if isinstance(reference, str) else None
    if not isinstance(target, Mapping) or not target:
        at.child("config_ref").warn(f"{at.shown(reference)} names no dict of this file, the provider is used as it is")
        return values
    entry = name if name in target else next(iter(target))
    chosen = target[entry]
    if not isinstance(chosen, Mapping):
        at.child("config_ref").warn(f"'{reference}' holds no dict, the provider is used as it is")
        return values
    at.report.same_lines((str(reference), str(entry)), at.path)
    return {**values, **chosen}
