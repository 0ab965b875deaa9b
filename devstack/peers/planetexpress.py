"""The planetexpress tree as LDIF: the users every test of a directory knows, their groups, and awkward names.

Everybody's password is the uid. Amy's entry has a name of two parts, Mom's is full of special characters, and
nobody's has a number: none of them can be reached by putting a login in front of the users' base.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any, Final

SUFFIX: Final = "dc=planetexpress,dc=com"
PEOPLE: Final = f"ou=people,{SUFFIX}"
GROUPS_BASE: Final = f"ou=groups,{SUFFIX}"
ROOT_DN: Final = f"cn=admin,{SUFFIX}"
ROOT_PASSWORD: Final = "GoodNewsEveryone"  # noqa: S105 - of a server that lives for a test
SERVICE_ACCOUNT: Final[Mapping[str, str]] = {"login": ROOT_DN, "password": ROOT_PASSWORD}
PHOTO: Final = bytes.fromhex("ffd8ffe000104a46494600010100000100010000ffd9")
"""What whoami must give back: the smallest thing that looks like a JPEG."""


def _lines(dn: str, attributes: dict[str, str | bytes | list[str]]) -> str:
    lines = [_line("dn", dn)]
    for name, value in attributes.items():
        lines += [_line(name, item) for item in (value if isinstance(value, list) else [value])]
    return "\n".join(lines) + "\n"


def _line(name: str, value: str | bytes) -> str:
    if isinstance(value, str) and value.isascii() and value.isprintable() and value[:1] not in (" ", ":", "<"):
        return f"{name}: {value}"
    raw = value.encode() if isinstance(value, str) else value
    return f"{name}:: {base64.b64encode(raw).decode()}"


def person(dn: str, cn: str, sn: str, uid: str, **more: str | bytes | list[str]) -> str:
    """One user; ``uidNumber`` among ``more`` makes it a posixAccount."""
    classes = ["inetOrgPerson", "organizationalPerson", "person", "top"]
    if "uidNumber" in more:
        classes.append("posixAccount")
        more = {"homeDirectory": f"/home/{uid}", "loginShell": "/bin/bash", **more}
    return _lines(
        dn,
        {
            "objectClass": classes,
            "cn": cn,
            "sn": sn,
            "uid": uid,
            "mail": [f"{uid}@planetexpress.com"],
            "userPassword": uid,
            **more,
        },
    )


def group(name: str, members: list[str], base: str = PEOPLE) -> str:
    """A groupOfNames; members are DNs."""
    return _lines(f"cn={name},{base}", {"objectClass": ["groupOfNames", "top"], "cn": name, "member": members})


def posix_group(name: str, number: int, members: list[str]) -> str:
    """A posixGroup; members are uids."""
    attributes: dict[str, str | bytes | list[str]] = {
        "objectClass": ["posixGroup", "top"],
        "cn": name,
        "gidNumber": str(number),
    }
    if members:
        attributes["memberUid"] = members
    return _lines(f"cn={name},{GROUPS_BASE}", attributes)


FRY: Final = f"cn=Philip J. Fry,{PEOPLE}"
LEELA: Final = f"cn=Turanga Leela,{PEOPLE}"
BENDER: Final = f"cn=Bender Bending Rodríguez,{PEOPLE}"
HERMES: Final = f"cn=Hermes Conrad,{PEOPLE}"
PROFESSOR: Final = f"cn=Hubert J. Farnsworth,{PEOPLE}"
ZOIDBERG: Final = f"cn=John A. Zoidberg,{PEOPLE}"
AMY: Final = f"cn=Amy Wong+sn=Kroker,{PEOPLE}"
MOM_NAME: Final = '#Mom, "CEO" + <Inc>; a=b\\c (*) '
MOM: Final = "cn=\\23Mom\\2C \\22CEO\\22 \\2B \\3CInc\\3E\\3B a\\3Db\\5Cc (*)\\20," + PEOPLE

SHIP_CREW: Final = f"cn=ship_crew,{PEOPLE}"
ADMIN_STAFF: Final = f"cn=admin_staff,{PEOPLE}"

ENTRIES: Final = "\n".join(
    (
        _lines(
            SUFFIX, {"objectClass": ["dcObject", "organization", "top"], "dc": "planetexpress", "o": "Planet Express"}
        ),
        _lines(PEOPLE, {"objectClass": ["organizationalUnit", "top"], "ou": "people"}),
        _lines(GROUPS_BASE, {"objectClass": ["organizationalUnit", "top"], "ou": "groups"}),
        person(
            FRY,
            "Philip J. Fry",
            "Fry",
            "fry",
            givenName="Philip",
            displayName="Fry",
            description="Human",
            jpegPhoto=PHOTO,
            mail=["fry@planetexpress.com", "philip@planetexpress.com"],
            uidNumber="2042",
            gidNumber="12042",
            loginShell="/bin/sh",
            gecos="Philip J. Fry",
        ),
        person(LEELA, "Turanga Leela", "Turanga", "leela", uidNumber="2043", gidNumber="12042"),
        person(BENDER, "Bender Bending Rodríguez", "Rodríguez", "bender", description="Robot"),
        person(HERMES, "Hermes Conrad", "Conrad", "hermes", uidNumber="2044", gidNumber="12043"),
        person(PROFESSOR, "Hubert J. Farnsworth", "Farnsworth", "professor", title="Professor"),
        person(ZOIDBERG, "John A. Zoidberg", "Zoidberg", "zoidberg", title="Ph. D.", uidNumber="2046", gidNumber="99"),
        person(AMY, "Amy Wong", "Kroker", "amy"),
        person(MOM, MOM_NAME, "Mom", "mom"),
        _lines(
            f"cn=Morbo,{PEOPLE}",
            {"objectClass": ["person", "top"], "cn": "Morbo", "sn": "Morbo", "userPassword": "morbo"},
        ),
        _lines(f"cn=Nobody,{PEOPLE}", {"objectClass": ["person", "top"], "cn": "Nobody", "sn": "Nobody"}),
    )
)
"""People, loaded before the server starts. Morbo has no uid, Nobody no password."""

GROUPS: Final = "\n".join(
    (
        group("ship_crew", [FRY, LEELA, BENDER]),
        group("admin_staff", [HERMES, PROFESSOR]),
        group("deliveries", [SHIP_CREW], GROUPS_BASE),
        group("operations", [f"cn=deliveries,{GROUPS_BASE}"], GROUPS_BASE),
        group("company", [f"cn=operations,{GROUPS_BASE}", ADMIN_STAFF], GROUPS_BASE),
        group("ship_crew_alumni", [ZOIDBERG]),
        posix_group("planetexpress", 12042, []),
        posix_group("office", 12043, []),
        posix_group("pilots", 12050, ["leela", "fry"]),
        posix_group("drinkers", 12051, ["bender", "fry"]),
        posix_group("doctors", 12052, ["zoidberg"]),
    )
)
"""Groups, added to the running server."""

CYCLE: Final = (
    f"dn: cn=operations,{GROUPS_BASE}\nchangetype: modify\nadd: member\nmember: cn=company,{GROUPS_BASE}\n-\n"
)
"""Makes operations a member of company and company one of operations."""


def provider(servers: Sequence[str], rules: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Configuration of the shipped provider ``planet``: this directory at other addresses, everybody permitted.

    rules: what gives users labels.
    """
    return {
        "default": True,
        "ldap_timeout": 15,
        "ldap_protocol": "ldap",
        "ldap_basedn": PEOPLE,
        "servers": list(servers),
        "secure": False,
        "serviceaccount": dict(SERVICE_ACCOUNT),
        "policies": {"acl": {"permit": ["all"]}, "rules": dict(rules or {})},
    }
