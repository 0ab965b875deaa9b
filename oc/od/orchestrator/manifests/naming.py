"""Names of the objects of one user that are not pure random (orchestration.md 2)."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from oc.model import names
from oc.model.identity import Identity

_PROVIDER_MARK: Final = re.compile(r".*-[0-9a-f]{6}")
_SIMPLE_PROVIDER: Final = re.compile(r"[a-z0-9]{1,20}")


def _digest(text: str, length: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def user_part(userid: str) -> str:
    """The user's part of secret names; never of the form ``<something>-<6 hex>``, kept for ``own_secret_name``."""
    name = names.user_object_name(userid)
    if _PROVIDER_MARK.fullmatch(name) is None:
        return name
    return f"{name[:46].strip('-')}-{_digest(userid, 16)}"


def _fit(front: str, last: str) -> str:
    """``front-last`` within 63 characters; what is cut off ``last`` is replaced by its hash."""
    room = names.MAX_NAME - 1 - len(front)
    if len(last) > room:
        last = f"{last[: room - 17].strip('-')}-{_digest(last, 16)}"
    return f"{front}-{last}"


def secret_name(kind: str, identity: Identity) -> str:
    """``auth-<kind>-<user>``: the preferred name, which two providers may share for one user id."""
    return _fit(f"auth-{names.dns_name(kind)}", user_part(identity.userid))


def own_secret_name(preferred: str, identity: Identity) -> str:
    """The name to use when the ``preferred`` one belongs to the same user id of another provider."""
    mark = _digest(identity.provider, 6)
    if len(preferred) + 7 <= names.MAX_NAME:
        return f"{preferred}-{mark}"
    return f"{preferred[:39].strip('-')}-{_digest(preferred, 16)}-{mark}"


def driver_secret_name(kind: str, identity: Identity, share: str) -> str:
    """``auth-<kind>-<user>-<share>``: the secret of one share; a hash takes the place of what does not fit."""
    plain, last = secret_name(kind, identity), names.dns_name(share, 200)
    if len(plain) + 1 + len(last) <= names.MAX_NAME and "\0" not in share:
        return f"{plain}-{last}"
    return f"{plain[:46].strip('-')}-{_digest(f'{plain}{share}', 16)}"


def claim_name(identity: Identity) -> str:
    """``<provider>-<user>``: the name of volume and claim when their template gives none.

    Two (provider, user) pairs never share one: a provider whose name holds ``-`` or capitals is hashed in.
    """
    user = names.user_object_name(identity.userid)
    if _SIMPLE_PROVIDER.fullmatch(identity.provider) and len(identity.provider) + 1 + len(user) <= names.MAX_NAME:
        return f"{identity.provider}-{user}"
    mark = _digest(f"{identity.provider}\0{identity.userid}", 16)
    front = names.dns_name(f"{identity.provider}-{user}")[:46].strip("-")
    return f"{front}-{mark}" if front else mark


def container_name(letter: str, kind: str) -> str:
    """``<letter>-<type>``, e.g. ``x-graphical``: consumers look at the letter only."""
    return f"{letter}-{names.dns_name(kind, 60)}"


def pod_name(uid: str, suffix: str) -> str:
    """Name of a desktop pod: ``<posix uid>-<suffix>``."""
    return names.object_name(names.dns_name(uid) or "user", suffix)


def application_pod_name(uid: str, application: str, suffix: str) -> str:
    """Name of an application pod: ``<posix uid>-app-<application>-<suffix>``."""
    user, app = names.dns_name(uid) or "user", names.dns_name(application) or "application"
    return names.object_name(user[:30], "app", app[:25], suffix)


def application_container_name(username: str, application: str, suffix: str) -> str:
    """Name of an ephemeral container: ``<user name>-<application>-<suffix>``."""
    user, app = names.dns_name(username) or "user", names.dns_name(application) or "application"
    return names.object_name(user[:30].strip("-"), app[:25].strip("-"), suffix)
