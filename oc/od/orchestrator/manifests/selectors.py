"""Label selectors: whose objects a call is about (orchestration.md 4, 6.2, 8.1, 8.4).

With ``desktop.authproviderneverchange`` the provider is part of every selector. Without it providers share a user id,
but an implicit provider, where the caller may choose the user id, never shares with any other.
"""

from __future__ import annotations

from collections.abc import Mapping

from oc.model.identity import Identity
from oc.od.orchestrator.manifests import labels
from oc.od.settings import Settings


def provider_is_bound(settings: Settings, identity: Identity) -> bool:
    """True when objects of this user id made by another provider are not this user's."""
    return settings.desktop.authproviderneverchange or is_implicit(settings, identity.provider)


def _implicit(settings: Settings) -> list[str]:
    """Label values of all implicit providers, switched off ones included: their pods may still run."""
    manager = settings.auth.managers.get("implicit")
    return sorted({labels.provider_label(name) for name in manager.providers}) if manager else []


def is_implicit(settings: Settings, provider: str) -> bool:
    """True for a provider of the manager ``implicit``, whose callers may choose their user id."""
    return provider == "anonymous" or labels.provider_label(provider) in _implicit(settings)


def user_selector(settings: Settings, identity: Identity) -> str:
    """Every object of a user."""
    found = labels.identity_labels(identity)
    user = f"access_userid={found['access_userid']}"
    if provider_is_bound(settings, identity):
        return f"{user},access_provider={found['access_provider']}"
    others = sorted({"anonymous", *_implicit(settings)})
    return f"{user},access_provider notin ({','.join(others)})"


def desktop_selector(settings: Settings, identity: Identity) -> str:
    """The desktop pods of a user."""
    return f"{user_selector(settings, identity)},type={labels.DESKTOP_TYPE}"


def application_selector(settings: Settings, identity: Identity) -> str:
    """The application pods of a user."""
    return f"{user_selector(settings, identity)},type={labels.APPLICATION_TYPE}"


def secret_selector(settings: Settings, identity: Identity, access_type: str | None = None) -> str:
    """The secrets (and legacy config maps) of a user, all or of one ``access_type``."""
    selector = user_selector(settings, identity)
    return f"{selector},access_type={access_type}" if access_type else selector


def claim_selector(identity: Identity) -> str:
    """The claims of a user's home; always bound to the provider."""
    return ",".join(f"{key}={value}" for key, value in labels.claim_labels(identity).items())


ALL_DESKTOPS = f"type={labels.DESKTOP_TYPE}"
ALL_APPLICATIONS = f"type={labels.APPLICATION_TYPE}"


def is_users(settings: Settings, identity: Identity, found: Mapping[str, str]) -> bool:
    """Whether ``user_selector`` matches an object with these labels: to filter what a cache holds."""
    if found.get("access_userid") != labels.userid_label(identity.userid):
        return False
    provider = found.get("access_provider", "")
    if provider_is_bound(settings, identity):
        return provider == labels.provider_label(identity.provider)
    return provider != "anonymous" and provider not in _implicit(settings)


def belongs_to(identity: Identity, found: Mapping[str, str]) -> bool:
    """Ownership check of log, env, stop and removal (8.4): user id **and** provider are the caller's."""
    return found.get("access_userid") == labels.userid_label(identity.userid) and (
        found.get("access_provider") == labels.provider_label(identity.provider)
    )
