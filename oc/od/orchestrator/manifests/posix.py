"""The POSIX account of a user: from the secrets written at login, or the generic one (orchestration.md 3.1)."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Mapping
from typing import Any, Final

from oc.model.identity import PosixAccount, PosixGroup
from oc.od.orchestrator.manifests.types import ManifestError
from oc.od.settings import Settings

_LOGIN: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,62}\$?")
MAX_ID: Final = 2**31 - 1


def resolve_account(
    settings: Settings,
    posixaccount: Mapping[str, bytes] | None = None,
    localaccount: Mapping[str, bytes] | None = None,
) -> PosixAccount:
    """The account to use at launch: decoded data of secret ``posixaccount``, else of ``localaccount``, else generic.

    Raises ManifestError when a stored account is broken.
    """
    for data in (posixaccount, localaccount):
        if data and "uid" in data and "uidNumber" in data:
            return checked(account_from_secret(data, settings))
    return generic_account(settings)


def generic_account(settings: Settings) -> PosixAccount:
    """The account of the configuration, for users without one."""
    account = settings.account
    return PosixAccount(
        cn=account.username,
        uid=account.username.lower(),
        gid=account.groupname.lower(),
        uidNumber=account.userid,
        gidNumber=account.groupid,
        homeDirectory=account.userhomedirectory,
        loginShell=account.shell,
    )


def account_from_secret(data: Mapping[str, bytes], settings: Settings) -> PosixAccount:
    """Read an account back from a secret. Raises ManifestError when it is broken."""
    try:
        text = {key: value.decode() for key, value in data.items() if key in _TEXT_KEYS}
        uid = text["uid"].lower()
        return PosixAccount(
            cn=text.get("cn") or uid,
            uid=uid,
            gid=(text.get("gid") or uid).lower(),
            uidNumber=int(data["uidNumber"]),
            gidNumber=int(data["gidNumber"]),
            homeDirectory=text.get("homeDirectory") or "",
            loginShell=text.get("loginShell") or settings.account.shell,
            description=text.get("description", ""),
            gecos=text.get("gecos", ""),
            groups=tuple(_group(item) for item in json.loads(data.get("groups") or b"[]") or []),
        )
    except (KeyError, TypeError, ValueError) as error:
        # the message of ValueError may hold the value
        raise ManifestError(
            "your account is not usable, log in again", doing=f"reading a stored account: {type(error).__name__}"
        ) from None


_TEXT_KEYS: Final = frozenset({"cn", "uid", "gid", "homeDirectory", "loginShell", "description", "gecos"})


def _group(item: Any) -> PosixGroup:
    if not isinstance(item, dict):
        raise TypeError("a group is not a dict")
    members = item.get("memberUid") or ()
    return PosixGroup(
        cn=str(item["cn"]),
        gidNumber=int(item["gidNumber"]),
        memberUid=(members,) if isinstance(members, str) else tuple(str(member) for member in members),
    )


def account_dict(posix: PosixAccount) -> dict[str, Any]:
    """The account as stored in the secret ``posixaccount``; ``groups`` is a list of dicts."""
    return {
        "cn": posix.cn,
        "uid": posix.uid,
        "gid": posix.gid,
        "uidNumber": posix.uidNumber,
        "gidNumber": posix.gidNumber,
        "homeDirectory": posix.homeDirectory,
        "loginShell": posix.loginShell,
        "description": posix.description,
        "groups": [
            {"cn": group.cn, "gidNumber": group.gidNumber, "memberUid": list(group.memberUid)} for group in posix.groups
        ],
        "gecos": posix.gecos,
    }


def checked(posix: PosixAccount) -> PosixAccount:
    """Return the account, or raise ManifestError when its login or ids are unusable in a pod.

    The login names files and directories in the pod (``/etc/sudoers.d/$LOGNAME``), so it has no ``/`` and no blank.
    """
    if _LOGIN.fullmatch(posix.uid) is None:
        raise ManifestError("the login name of your account is not usable in a desktop")
    ids = (posix.uidNumber, posix.gidNumber, *(group.gidNumber for group in posix.groups))
    if not all(0 <= number <= MAX_ID for number in ids):
        raise ManifestError("a user or group number of your account is out of bounds")
    return posix


def home_directory(settings: Settings, posix: PosixAccount) -> str:
    """The one home path of a user, absolute and normalised: feeds HOME, workingDir and every mount."""
    given = posix.homeDirectory
    usable = given.startswith("/") and ":" not in given and not any(ord(c) < 32 for c in given)
    path = posixpath.normpath(given) if usable else "/"
    if path.strip("/") == "":
        path = posixpath.normpath(posixpath.join(settings.account.homerootdirectory, posix.uid))
    return "/" + path.lstrip("/")
