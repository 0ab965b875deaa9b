"""Users, secrets and applications the builders are tried with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from oc.model.identity import ClientInfo, Identity, PosixAccount, PosixGroup
from oc.od.orchestrator.manifests import naming
from oc.od.orchestrator.manifests.types import DesktopFacts, Draw, SecretRef

ANONYMOUS_ID = "758b58db-7dcc-47d1-b95e-4f18bee61f68"

ANONYMOUS = Identity("anonymous", "anonymous", ANONYMOUS_ID, "Anonymous", {"tennetwork": "true"})
ANONYMOUS_ACCOUNT = PosixAccount(
    cn="anonymous", uid="anonymous", gid="anonymous", uidNumber=4096, gidNumber=4096, homeDirectory="/home/anonymous"
)
FRY = Identity(
    "planet",
    "ldap",
    "fry",
    "Philip J. Fry",
    {"shipcrew": "true", "tennetwork": "true", "ipsource": "10.0.2.216"},
    ("cn=ship_crew,ou=people,dc=planetexpress,dc=com",),
)
FRY_ACCOUNT = PosixAccount(
    cn="Philip J. Fry",
    uid="fry",
    gid="fry",
    uidNumber=2042,
    gidNumber=12042,
    homeDirectory="/home/fry",
    description="Human",
    gecos="Philip J. Fry",
    groups=(PosixGroup("ship_crew", 13000, ("fry", "leela")),),
)
LEELA = Identity("planet", "ldap", "leela", "Turanga Leela", {"gpu": "true", "executeclassname": "gold"})
LEELA_ACCOUNT = PosixAccount("Turanga Leela", "leela", "leela", 2043, 12042, "/home/leela")
HOSTILE = Identity(
    "Oauth-Provider.EU",
    "oauth",
    "Zoé-Ünlü@example.org",
    "$(XAUTH_KEY) {{ uid }}\n<script>",
    {
        "access_userid": "fry",
        "type": "pod_application",
        "XauthKey": "0",
        "netpol/ocuser": "false",
        "service_graphical": "1",
        "Été à la plage": "yes & no",
        "ete-a-la-plage": "second",
        "executeclassname": "diamond",
        "ipsource": "fe80::1%eth0",
        "!!!": "x",
    },
    ("abcdesktop/role", "Admins"),
)
HOSTILE_ACCOUNT = PosixAccount("Zoé", "zoe.unlu", "zoe.unlu", 5000, 5000, "not/a/path", groups=(PosixGroup("g", 5000),))

CLIENT = ClientInfo(ipaddr="10.244.0.1", locale="en_US")
BROWSER = ClientInfo(ipaddr="2001:db8::7", os_family="macosx", locale="fr_FR", timezone="Europe/Paris")

DRAW = Draw(
    suffix="3806b",
    xauthkey="bf5a4d8c048121cf6c176c425ac3c0",
    pulseaudio_cookie="d34b796e90f7f13ff21a4a23fa32d969",
    broadcast_cookie="c2b1ff172eb1ecb11fd320cc42e219f74d1e2fd76f3ddd39",
    now="2026-06-02T08:15:42",
)


def secrets(identity: Identity, *auth: str) -> list[SecretRef]:
    """The secrets of a logged-in user: account files, VNC password, and those named."""
    kinds = [("ldif", "ldif"), ("localaccount", "localaccount"), ("posixaccount", "posixaccount"), ("vnc", "vnc")]
    kinds += [(kind, "auth") for kind in auth]
    return [SecretRef(naming.secret_name(kind, identity), kind, access) for kind, access in kinds]


@dataclass(frozen=True)
class App:
    """A catalogue entry."""

    id: str = "abcdesktopio/samplexeyes:latest"
    name: str = "xeyes"
    cmd: Sequence[str] | None = ("/usr/bin/xeyes",)
    path: str | None = None
    args: Sequence[str] | str | None = None
    rules: Any = field(default_factory=dict)
    securitycontext: Any = field(default_factory=dict)
    secrets_requirement: Sequence[str] | None = None
    executeclassname: str | None = None
    uniquerunkey: str | None = None
    runtimeClassName: str | None = None  # noqa: N815


XEYES = App()
KONSOLE = App(
    id="abcdesktopio/konsolepodbronze.d:4.4",
    name="konsolepodbronze",
    cmd=("/composer/appli-docker-entrypoint.sh",),
    path="/usr/bin/konsole",
    args=("--name podbronze",),
    executeclassname="bronze",
    rules={"homedir": {"default": True}},
)
DESKTOP = DesktopFacts(
    name="fry-3f4d7",
    ip="10.244.0.172",
    node="worker1",
    graphical="x-graphical",
    xauthkey="6a458e2b822a6697058af776fa7f54",
    pulseaudio_cookie="328b1dd95e7675f80276eb36f43a4629",
    broadcast_cookie="febdcd691855e0374e56a54872b422fc0ef3d97daaefb836",
    volumes=frozenset(),
)
