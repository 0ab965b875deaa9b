"""The default POSIX account, and the templates of the account files."""

from __future__ import annotations

import dataclasses

from oc.od.settings.declaration import option
from oc.od.settings.kinds import ABSOLUTE_PATH, Integer, Nullable, Text


@dataclasses.dataclass(frozen=True)
class AccountSettings:
    """The POSIX account of users the login says nothing about, and the account file templates."""

    username: str = option(
        Text("a login name", pattern=r"[A-Za-z_][A-Za-z0-9_.-]*\$?", longest=32),
        "balloon",
        key="desktop.username",
        meaning="Login of the default account.",
    )
    groupname: str = option(
        Text("a group name", pattern=r"[A-Za-z_][A-Za-z0-9_.-]*\$?", longest=32),
        "balloon",
        key="desktop.groupname",
        meaning="Group of the default account.",
    )
    userid: int = option(Integer(0, 2**31 - 1), 4096, key="desktop.userid", meaning="User id of the default account.")
    groupid: int = option(
        Integer(0, 2**31 - 1), 4096, key="desktop.groupid", meaning="Group id of the default account."
    )
    homerootdirectory: str = option(
        ABSOLUTE_PATH,
        "/home",
        key="desktop.homerootdirectory",
        meaning="Parent of the home of users without a directory entry.",
        since="3.4",
    )
    configured_home: str | None = option(
        Nullable(ABSOLUTE_PATH),
        None,
        key="desktop.userhomedirectory",
        meaning="Home of the default account.",
        default_text="`<desktop.homerootdirectory>/<desktop.username>`",
        shipped="/home/balloon",
    )
    userpasswd: str = option(
        Text("a password", longest=256),
        "",
        key="desktop.userpasswd",
        meaning="Password of generated accounts: what `sudo` asks for in the desktop.",
        default_text="a random one a process",
        secret=True,
        sample="CHANGE-ME",
    )
    shell: str = option(
        ABSOLUTE_PATH, "/bin/bash", key="desktop.shell", meaning="Login shell.", aliases=("destkop.shell",)
    )
    template_passwd_filename: str = option(
        Text("a file name", longest=1024),
        "passwd",
        key="template_passwd_filename",
        meaning="Mustache template of the desktop's passwd file.",
        since="4.0",
    )
    template_group_filename: str = option(
        Text("a file name", longest=1024),
        "group",
        key="template_group_filename",
        meaning="Mustache template of the desktop's group file.",
        since="4.0",
    )
    template_shadow_filename: str = option(
        Text("a file name", longest=1024),
        "shadow",
        key="template_shadow_filename",
        meaning="Mustache template of the desktop's shadow file.",
        since="4.0",
    )
    template_gshadow_filename: str = option(
        Text("a file name", longest=1024),
        "gshadow",
        key="template_gshadow_filename",
        meaning="Mustache template of the desktop's gshadow file.",
        since="4.0",
    )

    @property
    def userhomedirectory(self) -> str:
        """Home of the default account."""
        return self.configured_home or f"{self.homerootdirectory.rstrip('/')}/{self.username}"
