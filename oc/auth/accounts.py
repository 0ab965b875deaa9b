"""The POSIX account of a user and the account files of the desktop (spec auth.md 4.3 to 4.6).

What a directory says about a user ends in passwd, shadow, group and gshadow: every value is checked here, once.
"""

from __future__ import annotations

import functools
import logging
import re
import secrets
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Protocol

import chevron
from chevron.tokenizer import tokenize

from oc.errors import AuthenticationFailureError
from oc.model.identity import PosixAccount, PosixGroup

logger = logging.getLogger(__name__)

MAX_SAFE_UID: Final = 31
MAX_NAME: Final = 64
MAX_TEXT: Final = 256
MAX_PATH: Final = 1024
MAX_GROUPS: Final = 1000
MAX_ID: Final = 2**31 - 1
"""Largest id Kubernetes accepts in runAsUser and supplementalGroups."""

_BREAKS_A_LINE: Final = re.compile(r"[:\x00-\x1f\x7f-\x9f\u2028\u2029]")
_NOT_IN_A_NAME: Final = re.compile(r"[:,/\\\x00-\x1f\x7f-\x9f\u2028\u2029]")
_NOT_IN_A_LOGIN: Final = re.compile(r"[:,/\\\s\x00-\x1f\x7f-\x9f]")


class AccountError(AuthenticationFailureError):
    """The account data of a user cannot be used; the message names the field, never its value."""


class AccountSettings(Protocol):
    """What is read of the ``desktop.*`` account keys."""

    @property
    def username(self) -> str: ...
    @property
    def groupname(self) -> str: ...
    @property
    def userid(self) -> int: ...
    @property
    def groupid(self) -> int: ...
    @property
    def homerootdirectory(self) -> str: ...
    @property
    def userpasswd(self) -> str: ...
    @property
    def shell(self) -> str: ...
    @property
    def template_passwd_filename(self) -> str: ...
    @property
    def template_shadow_filename(self) -> str: ...
    @property
    def template_group_filename(self) -> str: ...
    @property
    def template_gshadow_filename(self) -> str: ...


@dataclass(frozen=True, slots=True)
class AccountDefaults:
    """What an account has when the provider says nothing. ``password`` is in clear and never shown."""

    uid: str = "balloon"
    gid: str = "balloon"
    uid_number: int = 4096
    gid_number: int = 4096
    home_root: str = "/home"
    shell: str = "/bin/bash"
    password: str = field(default="", repr=False)

    @classmethod
    def from_settings(cls, settings: AccountSettings) -> AccountDefaults:
        """Without ``desktop.userpasswd`` the password is a random one nobody knows, new in each process."""
        return cls(
            uid=settings.username,
            gid=settings.groupname,
            uid_number=settings.userid,
            gid_number=settings.groupid,
            home_root=settings.homerootdirectory.rstrip("/"),
            shell=settings.shell,
            password=settings.userpasswd or secrets.token_urlsafe(24),
        )

    def home(self, uid: str) -> str:
        """The home directory of a user the directory says nothing about."""
        return f"{self.home_root}/{uid}"


def safe_uid(text: str) -> str:
    """A POSIX login made from any text: ASCII letters, digits and ``-``, lower case, 31 at most, letter or digit first.

    Raises AccountError when nothing is left.
    """
    decomposed = unicodedata.normalize("NFKD", text[: 4 * MAX_TEXT])
    kept = re.sub(r"[^a-z0-9-]", "", decomposed.lower()).lstrip("-")[:MAX_SAFE_UID]
    if not kept:
        raise AccountError("the user has no usable POSIX login")
    return kept


def generic_account(
    uid: str, defaults: AccountDefaults, *, gid: str = "", gecos: str = "", description: str = ""
) -> PosixAccount:
    """An account with the default ids for ``uid``; ``gid`` is the group name, default ``uid``."""
    return checked(
        PosixAccount(
            cn=uid,
            uid=uid,
            gid=gid or uid,
            uidNumber=defaults.uid_number,
            gidNumber=defaults.gid_number,
            homeDirectory=defaults.home(uid),
            loginShell=defaults.shell,
            description=description,
            gecos=gecos,
        )
    )


def account_from_mapping(values: Mapping[str, Any], defaults: AccountDefaults) -> PosixAccount:
    """The account a provider described by RFC 2307 attributes; absent ones come from ``defaults``.

    Numbers may be texts. Groups that cannot be used are left out with a log line. Raises AccountError.
    """
    uid = _text(values, "uid").lower() or defaults.uid
    return checked(
        PosixAccount(
            cn=_text(values, "cn") or uid,
            uid=uid,
            gid=_text(values, "gid").lower() or uid,
            uidNumber=_number(values.get("uidNumber"), defaults.uid_number, "uidNumber"),
            gidNumber=_number(values.get("gidNumber"), defaults.gid_number, "gidNumber"),
            homeDirectory=_text(values, "homeDirectory") or defaults.home(uid),
            loginShell=_text(values, "loginShell") or defaults.shell,
            description=_text(values, "description"),
            gecos=_text(values, "gecos"),
            groups=tuple(_groups(values.get("groups"))),
        )
    )


def checked(account: PosixAccount) -> PosixAccount:
    """``account`` with free texts cleaned; raises AccountError where a value could forge a line of an account file."""
    _require(_is_login(account.uid), "uid")
    _require(_is_name(account.gid), "gid")
    _require(0 <= account.uidNumber <= MAX_ID, "uidNumber")
    _require(0 <= account.gidNumber <= MAX_ID, "gidNumber")
    _require(_is_path(account.homeDirectory), "homeDirectory")
    _require(_is_path(account.loginShell), "loginShell")
    return replace(
        account,
        cn=_one_line(account.cn),
        description=_one_line(account.description),
        gecos=_one_line(account.gecos),
        groups=tuple(group for group in account.groups if _usable(group)),
    )


def posix_dict(account: PosixAccount) -> dict[str, Any]:
    """The account as the field names of RFC 2307, JSON-like: what goes into secrets and templates."""
    return {
        "cn": account.cn,
        "uid": account.uid,
        "gid": account.gid,
        "uidNumber": account.uidNumber,
        "gidNumber": account.gidNumber,
        "homeDirectory": account.homeDirectory,
        "loginShell": account.loginShell,
        "description": account.description,
        "groups": [
            {"cn": group.cn, "gidNumber": group.gidNumber, "memberUid": list(group.memberUid)}
            for group in account.groups
        ],
        "gecos": account.gecos,
    }


@dataclass(frozen=True)
class AccountTemplates:
    """The four mustache templates, with HTML escaping switched off."""

    passwd: str
    shadow: str
    group: str
    gshadow: str

    @classmethod
    def load(cls, settings: AccountSettings, base: Path) -> AccountTemplates:
        """Read the files named by the configuration, relative to ``base``. Raises OSError or UnicodeDecodeError."""
        return cls(
            passwd=_template(base / settings.template_passwd_filename),
            shadow=_template(base / settings.template_shadow_filename),
            group=_template(base / settings.template_group_filename),
            gshadow=_template(base / settings.template_gshadow_filename),
        )

    def render(self, account: PosixAccount, sha512: str) -> dict[str, str]:
        """File name -> content, each ending with a newline. ``account`` went through ``checked``."""
        values = {**posix_dict(account), "sha512": sha512}
        del values["groups"]
        passwd, shadow, group_file, gshadow = (chevron.render(tokens, values) for tokens in self._parsed)
        members = {group: ",".join(group.memberUid) for group in account.groups}
        group_lines = [f"{group.cn}:x:{group.gidNumber}:{names}" for group, names in members.items()]
        group_lines.append(f"{account.gid}:x:{account.gidNumber}:")
        gshadow_lines = [f"{group.cn}:!::{names}" for group, names in members.items()]
        return {
            "passwd": _file(passwd, ()),
            "shadow": _file(shadow, ()),
            "group": _file(group_file, group_lines),
            "gshadow": _file(gshadow, gshadow_lines),
        }

    @functools.cached_property
    def _parsed(self) -> list[list[tuple[str, str]]]:
        """Mustache escapes ``{{ x }}`` for HTML; an account file wants the value itself, which is ``{{& x }}``."""
        return [
            [("no escape" if tag == "variable" else tag, key) for tag, key in tokenize(template)]
            for template in (self.passwd, self.shadow, self.group, self.gshadow)
        ]


def local_account(account: PosixAccount, sha512: str, templates: AccountTemplates) -> dict[str, Any]:
    """The ``localaccount`` claim: the four files, then the identity fields with ``sha512``, a password's hash."""
    fields = posix_dict(account)
    del fields["cn"]
    return {**templates.render(account, sha512), **fields, "sha512": sha512}


def _template(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _file(rendered: str, more: Iterable[str]) -> str:
    """Lines of a template and ``more``, each account or group name once: the first line of a name counts."""
    seen: set[str] = set()
    lines: list[str] = []
    for line in (*rendered.splitlines(), *more):
        name, colon, _ = line.partition(":")
        if not line.strip() or (colon and name in seen):
            continue
        seen.add(name)
        lines.append(line)
    return "\n".join(lines) + "\n"


def _require(good: bool, name: str) -> None:
    if not good:
        raise AccountError(f"the user's account has an unusable {name}", doing="check a POSIX account")


def _is_login(text: str) -> bool:
    return 0 < len(text) <= MAX_NAME and not text.startswith("-") and not _NOT_IN_A_LOGIN.search(text)


def _is_name(text: str) -> bool:
    return 0 < len(text) <= MAX_NAME and text == text.strip() and not _NOT_IN_A_NAME.search(text)


def _is_path(text: str) -> bool:
    return (
        text.startswith("/")
        and len(text) <= MAX_PATH
        and not _BREAKS_A_LINE.search(text)
        and ".." not in text.split("/")
    )


def _one_line(text: str) -> str:
    return _BREAKS_A_LINE.sub("-", text)[:MAX_TEXT]


def _usable(group: PosixGroup) -> bool:
    good = (
        _is_name(group.cn) and 1 <= group.gidNumber <= MAX_ID and all(_is_login(member) for member in group.memberUid)
    )
    if not good:
        logger.warning("a supplementary group is left out: its name, number or a member cannot be written to a file")
    return good


def _text(values: Mapping[str, Any], key: str) -> str:
    """A directory value as text: the first of a list, UTF-8 bytes decoded, ``""`` for anything else."""
    value = values.get(key)
    if isinstance(value, (list, tuple)):
        value = value[0] if value else ""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return value if isinstance(value, str) else ""


def _number(value: Any, default: int, name: str) -> int:
    if isinstance(value, (list, tuple)):
        value = value[0] if value else None
    if value is None or value == "":
        return default
    if isinstance(value, bytes):
        value = value.decode("ascii", "replace")
    if isinstance(value, bool) or not isinstance(value, (int, str)) or len(str(value)) > 10:
        raise AccountError(f"the user's account has an unusable {name}")
    # only the configuration may hand out root's number, a directory may not
    if not str(value).isdecimal() or not str(value).isascii() or int(value) == 0:
        raise AccountError(f"the user's account has an unusable {name}")
    return int(value)


def _groups(value: Any) -> Iterable[PosixGroup]:
    for entry in value[:MAX_GROUPS] if isinstance(value, (list, tuple)) else ():
        if not isinstance(entry, Mapping):
            continue
        members = entry.get("memberUid") or ()
        if isinstance(members, (str, bytes)):
            members = (members,)
        names = tuple(_text({"m": member}, "m") for member in members)
        try:
            yield PosixGroup(_text(entry, "cn"), _number(entry.get("gidNumber"), 0, "gidNumber"), names)
        except AccountError:
            logger.warning("a supplementary group is left out: its gidNumber is no number")
