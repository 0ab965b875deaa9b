"""Whose objects an operation is about: a user who asks, or the one a pod's labels name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from oc.model.identity import Identity
from oc.od.orchestrator.manifests import selectors
from oc.od.settings import Settings


@dataclass(frozen=True, slots=True)
class Owner:
    """``selector`` finds the user's objects of every kind; ``has`` says the same of labels in hand."""

    selector: str
    has: Callable[[Mapping[str, str]], bool] = field(repr=False)


def owner_of(settings: Settings, identity: Identity) -> Owner:
    """The user who asks."""
    return Owner(
        selectors.user_selector(settings, identity), lambda labels: selectors.is_users(settings, identity, labels)
    )


def owner_in(labels: Mapping[str, str]) -> Owner:
    """The user a pod belongs to: label values cannot be turned back into an identity."""
    user, provider = labels.get("access_userid", ""), labels.get("access_provider", "")
    return Owner(
        f"access_userid={user},access_provider={provider}",
        lambda found: found.get("access_userid") == user and found.get("access_provider") == provider,
    )


def identity_in(labels: Mapping[str, str]) -> Identity:
    """Whose pod it is, as far as its labels tell: ids that are no label values appear in their cleaned form."""
    return Identity(
        provider=labels.get("access_provider", ""),
        providertype=labels.get("access_providertype", ""),
        userid=labels.get("access_userid", ""),
        name=labels.get("access_username", ""),
    )
