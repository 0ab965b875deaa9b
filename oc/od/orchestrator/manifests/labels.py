"""Labels of pods: who a pod belongs to, and what the rules said of the user (orchestration.md 5.3)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from oc.model import names
from oc.model.identity import Identity

DESKTOP_TYPE: Final = "x11server"
APPLICATION_TYPE: Final = "pod_application"

_RESERVED: Final = re.compile(
    r"access_.*|abcdesktop/.*|netpol/.*|type|domain|.*_cookie|xauthkey|service_.*|uniquerunkey"
    r"|websocketroute|websocketrouting"
)


def is_reserved(key: str) -> bool:
    """True for a label key pyos itself relies on: no rule and no role may set it."""
    return _RESERVED.fullmatch(key) is not None


def provider_label(provider: str) -> str:
    """The ``access_provider`` label: distinct for distinct providers."""
    return names.user_label(provider)


def userid_label(userid: str) -> str:
    """The ``access_userid`` label: distinct for distinct users."""
    return names.user_label(userid)


def identity_labels(identity: Identity) -> dict[str, str]:
    """The labels that say whose object it is."""
    return {
        "access_provider": provider_label(identity.provider),
        "access_providertype": names.label_value(identity.providertype),
        "access_userid": userid_label(identity.userid),
        "access_username": names.label_value(identity.name),
    }


def secret_labels(identity: Identity, access_type: str) -> dict[str, str]:
    """The labels of a secret of the user."""
    return {
        "access_provider": provider_label(identity.provider),
        "access_userid": userid_label(identity.userid),
        "access_type": access_type,
    }


def claim_labels(identity: Identity) -> dict[str, str]:
    """The labels by which the claim of a home is found again."""
    found = identity_labels(identity)
    return {key: found[key] for key in ("access_provider", "access_providertype", "access_userid")}


def user_labels(labels: Mapping[str, str], roles: Iterable[str] = ()) -> tuple[dict[str, str], list[str]]:
    """The user's labels and roles as they stand on a pod, and what had to be dropped.

    A role counts ``true``. A reserved key is refused: a rule cannot forge an identity. What normalises to a key that
    is already taken by another value is dropped, the first one wins.
    """
    made: dict[str, str] = {}
    warnings: list[str] = []
    for given, value in [*labels.items(), *((role, "true") for role in roles)]:
        key = names.label_key(given)
        if not key or is_reserved(key) or is_reserved(given):
            warnings.append(f"label {given[:80]!r} is dropped: {'reserved' if key else 'not usable'} key")
            continue
        text = names.label_value(str(value))
        if made.setdefault(key, text) != text:
            warnings.append(f"label {given[:80]!r} is dropped: its key {key!r} is already set")
    return made, warnings


def uniq_labels(labels: Mapping[str, str], wanted: Iterable[str]) -> dict[str, str | None]:
    """The values of ``desktop.policies.user_uniq_labels`` as a pod of this user would carry them (None: absent)."""
    made, _ = user_labels(labels)
    return {key: made.get(names.label_key(key)) for key in wanted}
