"""Further whole objects: one part of the configuration each, for users of different kinds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from oc.model.identity import ClientInfo, Identity, Login, PosixAccount
from oc.od.orchestrator.manifests import desktop, homes, network
from oc.od.orchestrator.manifests.secrets import login_secrets, secret_ref
from oc.od.orchestrator.manifests.types import Built
from oc.od.settings import settings_from_mapping

from . import configurations as conf
from . import more_configurations as more
from . import people
from .cases import OPEN_NOTES, build_application_pod, build_desktop, build_ephemeral, fry_login, running
from .people import ANONYMOUS, ANONYMOUS_ACCOUNT, FRY, FRY_ACCOUNT, HOSTILE, HOSTILE_ACCOUNT, LEELA, LEELA_ACCOUNT

SILVER = dataclasses.replace(LEELA, labels={"executeclassname": "silver"})
ADMIN = dataclasses.replace(LEELA, labels={"adminstaff": "true"})
CERTIFICATE = Identity("certificate", "implicit", "fry", "Philip J. Fry", {})
GERMAN = ClientInfo(ipaddr="192.0.2.7", os_family="linux", locale="de_DE", timezone="Europe/Berlin")


def _login_with_shares() -> Login:
    login = fry_login(homeDrive="U:", homeDirectory="\\\\nas\\fry")
    driver = {"username": "fry", "password": "not shown", "domain": "PLANET"}
    return dataclasses.replace(login, claims={**login.claims, "driver": driver})


def _desktop_with_shares() -> Built:
    """A desktop with the secrets its login has really written."""
    settings = settings_from_mapping(more.shares())
    refs = [secret_ref(draft.manifest) for draft in login_secrets(settings, _login_with_shares())]
    found = [*(ref for ref in refs if ref is not None), *(one for one in people.secrets(FRY) if one.kind == "vnc")]
    return desktop.desktop_pod(
        settings,
        FRY,
        people.CLIENT,
        FRY_ACCOUNT,
        people.DRAW,
        found,
        homes.home_volume(settings, FRY, FRY_ACCOUNT),
        network.network_rules(settings, FRY.labels),
        pod_level_resources=True,
    )


def _secrets(values: Mapping[str, Any], login: Login) -> Sequence[Any]:
    return [draft.manifest for draft in login_secrets(settings_from_mapping(values), login)]


def _claim(values: Mapping[str, Any], identity: Identity, account: PosixAccount) -> Any:
    made = homes.home_claim(settings_from_mapping(values), identity, account, uuid="3af1c")
    return {"claim": made.claim} if made.volume is None else {"claim": made.claim, "volume": made.volume}


def _files(line: str) -> dict[str, str]:
    return dict.fromkeys(("passwd", "shadow", "group", "gshadow"), f"{line}\n")


DESKTOPS: Mapping[str, Callable[[], Built]] = {
    "desktop-fry-placed": lambda: build_desktop(more.placed(), FRY, FRY_ACCOUNT),
    "desktop-leela-placed-by-class": lambda: build_desktop(more.placed(), SILVER, LEELA_ACCOUNT),
    "desktop-anonymous-names-and-addresses": lambda: build_desktop(
        more.names_and_addresses(), ANONYMOUS, ANONYMOUS_ACCOUNT, GERMAN, timezone="Europe/Berlin"
    ),
    "desktop-fry-every-service": lambda: build_desktop(
        more.every_service(), FRY, FRY_ACCOUNT, authorized_key="ssh-ed25519 AAAAC3Nza fry@ship"
    ),
    "desktop-leela-every-service-as-administrator": lambda: build_desktop(more.every_service(), ADMIN, LEELA_ACCOUNT),
    "desktop-fry-snapshot": lambda: build_desktop(more.snapshots(), FRY, FRY_ACCOUNT),
    "desktop-leela-no-snapshot": lambda: build_desktop(more.snapshots(), LEELA, LEELA_ACCOUNT),
    "desktop-fry-denied-services": lambda: build_desktop(more.denied_services(), FRY, FRY_ACCOUNT),
    "desktop-fry-old-containers": lambda: build_desktop(more.old_containers(), FRY, FRY_ACCOUNT),
    "desktop-fry-3.3": lambda: build_desktop(
        more.file_3_3(), FRY, FRY_ACCOUNT, auth=("kerberos", "ntlm"), pod_level=False
    ),
    "desktop-certificate-3.3": lambda: build_desktop(more.file_3_3(), CERTIFICATE, FRY_ACCOUNT, pod_level=False),
    "desktop-leela-named-claim": lambda: build_desktop(more.named_claim(), LEELA, LEELA_ACCOUNT),
    "desktop-fry-own-claim": lambda: build_desktop(more.own_claims(), FRY, FRY_ACCOUNT, claim="planet-fry"),
    "desktop-fry-shares": _desktop_with_shares,
    "desktop-leela-no-shares": lambda: build_desktop(more.shares(), LEELA, LEELA_ACCOUNT),
    "desktop-hostile-policies": lambda: build_desktop(conf.with_policies(), HOSTILE, HOSTILE_ACCOUNT, claim="c"),
}

EPHEMERALS: Mapping[str, Callable[[], Built]] = {
    "ephemeral-anonymous-4.4": lambda: build_ephemeral(
        conf.shipped(),
        ANONYMOUS,
        ANONYMOUS_ACCOUNT,
        people.XEYES,
        running(build_desktop(conf.shipped(), ANONYMOUS, ANONYMOUS_ACCOUNT)),
    ),
}

APPLICATION_PODS: Mapping[str, Callable[[], Built]] = {
    "application-leela-placed-by-class": lambda: build_application_pod(
        more.placed(),
        SILVER,
        LEELA_ACCOUNT,
        dataclasses.replace(people.KONSOLE, executeclassname=None, runtimeClassName="kata"),
        running(build_desktop(more.placed(), SILVER, LEELA_ACCOUNT)),
    ),
    "application-anonymous-opens-a-file": lambda: build_application_pod(
        conf.shipped(), ANONYMOUS, ANONYMOUS_ACCOUNT, people.XEYES, people.DESKTOP, OPEN_NOTES
    ),
}

OTHERS: Mapping[str, Callable[[], Any]] = {
    "home-claim-fry-own": lambda: _claim(more.own_claims(), FRY, FRY_ACCOUNT),
    "home-claim-fry-by-label": lambda: _claim(more.claims_by_label(), FRY, FRY_ACCOUNT),
    "home-claim-hostile": lambda: _claim(conf.with_policies(), HOSTILE, HOSTILE_ACCOUNT),
    "secrets-fry-shares": lambda: _secrets(more.shares(), _login_with_shares()),
    "secrets-anonymous-login": lambda: _secrets(
        conf.shipped(), Login(ANONYMOUS, claims={"localaccount": _files("anonymous:x:4096:4096::/home/anonymous:")})
    ),
    "secrets-hostile-login": lambda: _secrets(
        conf.shipped(), Login(HOSTILE, posix=HOSTILE_ACCOUNT, claims={"localaccount": _files("zoe:x:5000:5000::/:")})
    ),
}
