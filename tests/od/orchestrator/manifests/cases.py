"""Whole objects: (name of the expected file) -> how it is built."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from oc.model.identity import ClientInfo, Identity, Login, PosixAccount
from oc.od.orchestrator.manifests import applications, desktop, homes, network
from oc.od.orchestrator.manifests.secrets import login_secrets, vnc_secret
from oc.od.orchestrator.manifests.types import ApplicationRequest, Built, DesktopFacts
from oc.od.settings import Settings, settings_from_mapping

from . import configurations as conf
from . import people
from .people import ANONYMOUS, ANONYMOUS_ACCOUNT, FRY, FRY_ACCOUNT, HOSTILE, HOSTILE_ACCOUNT, LEELA, LEELA_ACCOUNT

CLAIM = "planet-fry-3af1c"
SUFFIX = "1c9e2"


def build_desktop(
    values: Mapping[str, Any] | Settings,
    identity: Identity,
    account: PosixAccount,
    client: ClientInfo = people.CLIENT,
    *,
    auth: tuple[str, ...] = (),
    claim: str | None = None,
    pod_level: bool = True,
    **more: Any,
) -> Built:
    """A desktop pod the way a launch builds it."""
    settings = values if isinstance(values, Settings) else settings_from_mapping(values)
    home = homes.home_volume(settings, identity, account, claim_name=claim, uuid="3af1c")
    rules = network.network_rules(settings, identity.labels)
    secrets = people.secrets(identity, *auth)
    return desktop.desktop_pod(
        settings, identity, client, account, people.DRAW, secrets, home, rules, pod_level_resources=pod_level, **more
    )


def running(built: Built, ip: str = "10.244.0.172", node: str = "worker1") -> DesktopFacts:
    """The facts of a desktop pod once it runs."""
    pod = built.manifest
    return applications.desktop_facts({**pod, "spec": {**pod["spec"], "nodeName": node}, "status": {"podIP": ip}})


def build_ephemeral(
    values: Mapping[str, Any] | Settings,
    identity: Identity,
    account: PosixAccount,
    app: people.App,
    live: DesktopFacts,
    request: ApplicationRequest | None = None,
    *,
    auth: tuple[str, ...] = (),
    claim: str | None = None,
    client: ClientInfo = people.CLIENT,
) -> Built:
    """An ephemeral container the way a start builds it."""
    settings = values if isinstance(values, Settings) else settings_from_mapping(values)
    home = homes.home_volume(settings, identity, account, claim_name=claim)
    return applications.ephemeral_container(
        settings,
        identity,
        client,
        account,
        app,
        request or ApplicationRequest(),
        live,
        SUFFIX,
        people.secrets(identity, *auth),
        home,
    )


def build_application_pod(
    values: Mapping[str, Any] | Settings,
    identity: Identity,
    account: PosixAccount,
    app: people.App,
    live: DesktopFacts,
    request: ApplicationRequest | None = None,
    *,
    auth: tuple[str, ...] = (),
    claim: str | None = None,
    client: ClientInfo = people.CLIENT,
) -> Built:
    """An application pod the way a start builds it."""
    settings = values if isinstance(values, Settings) else settings_from_mapping(values)
    home = homes.home_volume(settings, identity, account, claim_name=claim)
    return applications.application_pod(
        settings,
        identity,
        client,
        account,
        app,
        request or ApplicationRequest(),
        live,
        SUFFIX,
        people.secrets(identity, *auth),
        home,
        network.network_rules(settings, identity.labels, app.rules),
    )


def _fry_desktop() -> Built:
    return build_desktop(
        conf.with_policies(),
        FRY,
        FRY_ACCOUNT,
        people.BROWSER,
        auth=("kerberos", "ntlm"),
        claim=CLAIM,
        authorized_key="ssh-ed25519 AAAAC3Nza fry@ship",
        timezone="Europe/Paris",
    )


DESKTOPS: Mapping[str, Callable[[], Built]] = {
    "desktop-anonymous-4.4": lambda: build_desktop(conf.shipped(), ANONYMOUS, ANONYMOUS_ACCOUNT),
    "desktop-anonymous-container-resources": lambda: build_desktop(
        conf.shipped(), ANONYMOUS, ANONYMOUS_ACCOUNT, pod_level=False
    ),
    "desktop-fry-policies": _fry_desktop,
    "desktop-leela-gpu": lambda: build_desktop(conf.gpu_by_label(), LEELA, LEELA_ACCOUNT),
    "desktop-leela-gpu-container-resources": lambda: build_desktop(
        conf.gpu_by_label(), LEELA, LEELA_ACCOUNT, pod_level=False
    ),
    "desktop-fry-bridged": lambda: build_desktop(conf.bridged(), FRY, FRY_ACCOUNT),
    "desktop-fry-many-containers": lambda: build_desktop(conf.many_containers(), FRY, FRY_ACCOUNT),
    "desktop-fry-extrausers-4.3": lambda: build_desktop(conf.extrausers_4_3(), FRY, FRY_ACCOUNT),
    "desktop-fry-minimal-3.x": lambda: build_desktop(conf.minimal_3_x(), FRY, FRY_ACCOUNT, pod_level=False),
    "desktop-fry-shared-claim": lambda: build_desktop(conf.shared_claim(), FRY, FRY_ACCOUNT),
    "desktop-fry-nfs": lambda: build_desktop(
        conf.nfs_home(), FRY, FRY_ACCOUNT, people.BROWSER, auth=("citrix", "kerberos")
    ),
    "desktop-hostile-user": lambda: build_desktop(conf.shipped(), HOSTILE, HOSTILE_ACCOUNT),
}

GREEDY = dataclasses.replace(
    people.KONSOLE,
    executeclassname="gold",
    secrets_requirement=("abcdesktop/kerberos", "vnc"),
    uniquerunkey="libre office",
    args=("--wait", "a file"),
    securitycontext={
        "runAsUser": 0,
        "privileged": True,
        "capabilities": {"add": ["NET_RAW"]},
        "fsGroup": "{{ gidNumber }}",
        "nonsense": 1,
    },
    rules={
        "volumes": {"shipcrew": {"type": "nfs", "name": "own", "server": "s", "path": "/p", "mountPath": "/mnt/own"}}
    },
)
"""An application that asks for all it may ask for, and for more."""

OPEN_NOTES = ApplicationRequest(
    args="/home/fry/$(HOME) notes.txt",
    timezone="Europe/Paris",
    overwrite={"NVIDIA_VISIBLE_DEVICES": "GPU-1", "A=B": "x", "COUNT": 2, "NOTHING": None},
)

EPHEMERALS: Mapping[str, Callable[[], Built]] = {
    "ephemeral-fry-xeyes": lambda: build_ephemeral(
        conf.with_policies(),
        FRY,
        FRY_ACCOUNT,
        people.XEYES,
        running(_fry_desktop()),
        ApplicationRequest(timezone="Europe/Paris"),
        auth=("kerberos", "ntlm"),
        claim=CLAIM,
    ),
    "ephemeral-fry-greedy": lambda: build_ephemeral(
        conf.with_policies(),
        FRY,
        FRY_ACCOUNT,
        GREEDY,
        running(_fry_desktop(), ip="fd00::17"),
        OPEN_NOTES,
        auth=("kerberos", "ntlm"),
        claim=CLAIM,
        client=people.BROWSER,
    ),
}

APPLICATION_PODS: Mapping[str, Callable[[], Built]] = {
    "application-fry-konsole": lambda: build_application_pod(
        conf.with_policies(),
        FRY,
        FRY_ACCOUNT,
        people.KONSOLE,
        running(_fry_desktop()),
        ApplicationRequest(args="/home/fry/notes.txt"),
        claim=CLAIM,
    ),
    "application-fry-greedy": lambda: build_application_pod(
        conf.gpu_by_label(),
        FRY,
        FRY_ACCOUNT,
        GREEDY,
        running(_fry_desktop(), ip="fd00::17"),
        OPEN_NOTES,
        auth=("kerberos",),
    ),
    "application-anonymous-extrausers-4.3": lambda: build_application_pod(
        conf.extrausers_4_3(), ANONYMOUS, ANONYMOUS_ACCOUNT, people.XEYES, people.DESKTOP
    ),
    "application-fry-bridged": lambda: build_application_pod(
        conf.bridged(), FRY, FRY_ACCOUNT, people.KONSOLE, people.DESKTOP
    ),
}


def fry_login(**attributes: Any) -> Login:
    """Fry's login with every kind of identity a directory gives."""
    return Login(
        FRY,
        attributes={
            "userid": "somebody else",
            "mail": "fry@planetexpress.com",
            "uidNumber": 2042,
            "objectClass": ["inetOrgPerson", b"posixAccount"],
            "jpegPhoto": b"\xff\xd8\xff\xe0",
            "userPassword": b"{SSHA}secret",
            "unicodePwd": "x",
            "sambaNTPassword": "x",
            "krbPrincipalKey": b"x",
            "bad key": "x",
            "nothing": None,
            "photos": [b"\xff", b"\xfe"],
            **attributes,
        },
        posix=FRY_ACCOUNT,
        claims={
            "localaccount": {
                "passwd": "fry:x:2042:12042::/home/fry:/bin/bash\n",
                "shadow": "fry:$6$Zr1u$c29tZWhhc2g:19080:0:99999:7:::\n",
                "group": "sudo:x:27:fry\nlpadmin:x:101:root,fry\nfry:x:12042:fry\nship_crew:x:13000:fry,leela\n",
                "gshadow": "sudo:*::fry\nlpadmin:!::root,fry\nfry:!::fry\nship_crew:!::fry,leela\n",
            },
            "kerberos": {
                "PRINCIPAL": "fry",
                "REALM": "PLANETEXPRESS.COM",
                "keytab": b"\x05\x02\x00",
                "krb5_conf": "[l]\n",
            },
            "ntlm": {"NTLM_USER": "fry", "NTLM_DOMAIN": "PLANET", "NTLM_KEY": "bXlrZXk="},
            "citrix": {"All_Regions.ini": "[Network]\nUsername=fry\n"},
        },
    )


def _home_claim() -> Any:
    made = homes.home_claim(settings_from_mapping(conf.with_policies()), FRY, FRY_ACCOUNT, uuid="3af1c")
    return {"claim": made.claim, "volume": made.volume}


OTHERS: Mapping[str, Callable[[], Any]] = {
    "home-claim-fry": _home_claim,
    "secrets-fry-login": lambda: [
        draft.manifest for draft in login_secrets(settings_from_mapping(conf.shipped()), fry_login())
    ],
    "secret-vnc": lambda: vnc_secret(settings_from_mapping(conf.shipped()), FRY, "kP3xQ9mZt7LbR2c").manifest,
}
