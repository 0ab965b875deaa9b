"""A pyos that trusts two real identity providers, once a session."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from devstack.peers import slapd as directory
from devstack.peers.planetexpress import PEOPLE
from devstack.peers.slapd import Slapd
from devstack.service import Backends, Service, free_port
from tests.peers.oidc import CertifiedProvider, ObedientProvider, new_peer

from .support import Browser

USERS = {
    "fry": {
        "name": "Philip J. Fry",
        "email": "fry@planetexpress.com",
        "email_verified": True,
    },
    "kif": {  # nobody else's user: this one gets a desktop
        "name": "Kif Kroker",
        "email": "kif@doop.example",
        "groups": ["ship_crew", "delivery"],
        "uid": "kif",
        "uidNumber": 1025,
        "gidNumber": 1026,
    },
    "hermes": {"name": "Hermes Conrad", "email": "hermes@planetexpress.com", "groups": ["admin_staff"]},
    "zapp": {"name": "Zapp Brannigan", "email": "fry@planetexpress.com", "email_verified": False},
    "a.b": {"name": "Dot"},
    "a-b": {"name": "Dash"},
    "A.B": {"name": "Capitals"},
}
POLICIES = {
    "acl": {"permit": ["all"]},
    "rules": {
        "crew": {"conditions": [{"memberOf": "ship_crew", "expected": True}], "expected": True, "label": "shipcrew"},
        "staff": {"conditions": [{"memberOf": "admin_staff", "expected": True}], "expected": True, "label": "admins"},
    },
}


@dataclass(frozen=True)
class World:
    """pyos, the certified provider and the one that does what tests tell it."""

    service: Service
    certified: CertifiedProvider
    obedient: ObedientProvider


def providers(site: str, certified: CertifiedProvider, obedient: ObedientProvider) -> dict[str, Any]:
    """``authmanagers.external.providers``."""
    prefix = {"redirect_uri_prefix": f"{site}/API/auth/oauth"}
    planet = {
        **prefix,
        "issuer": certified.issuer,
        "client_id": "desktop",
        "client_secret": certified.client_secret,
        "scope": ["openid", "profile", "email"],
        "policies": POLICIES,
    }
    hub = {
        **prefix,
        "client_id": obedient.client_id,
        "client_secret": obedient.client_secret,
        "authorization_base_url": f"{obedient.issuer}/authorize",
        "token_url": f"{obedient.issuer}/token",
        "userinfo_url": f"{obedient.issuer}/me",
        "redirect_uri_querystring": "manager=external&provider=hub",
        "scope": ["read:user"],
        "policies": POLICIES,
    }
    openid = {
        **prefix,
        "issuer": obedient.issuer,
        "client_id": obedient.client_id,
        "client_secret": obedient.client_secret,
        "scope": "openid profile",
        "policies": POLICIES,
    }
    return {
        "planet": {**planet, "displayname": "Planet Express", "explicitproviderapproval": "directory"},
        "planet-post": {
            **planet,
            "client_id": "desktop-post",
            "include_client_id": True,
            "userinfomap": {"*": "*", "userid": "email"},
        },
        "planet-hs": {**planet, "client_id": "desktop-hs"},
        "hub": hub,
        "hub-quiet": {**hub, "userinfo_auth": False, "redirect_uri_querystring": "manager=external&provider=hub-quiet"},
        "hub-map": {
            **hub,
            "include_client_id": True,
            "pkce": False,
            "redirect_uri_querystring": "manager=external&provider=hub-map",
            "userinfomap": {"*": "raw", "userid": "data.login", "name": "data.names.1", "groups": "data.teams"},
        },
        "open": openid,
        "open-mail": {**openid, "userinfomap": {"*": "*", "userid": "email"}},
        "away": {**openid, "issuer": f"http://127.0.0.1:{free_port()}"},
    }


@pytest.fixture(scope="session")
def slapd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd | None]:
    """The directory for autologin; None where OpenLDAP is missing."""
    if directory.missing():
        yield None
        return
    with Slapd(tmp_path_factory.mktemp("slapd")) as server:
        yield server


@pytest.fixture(scope="session")
def start_world(backends: Backends, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Make the arguments of a pyos with the providers."""

    def make(certified: CertifiedProvider, obedient: ObedientProvider, port: int, **overrides: Any) -> Service:
        site = f"http://127.0.0.1:{port}"
        managers = {
            "external": {"providers": providers(site, certified, obedient)},
            "implicit": {"providers": {"anonymous": {"username": "Anonymous"}}},
            **overrides.pop("managers", {}),
        }
        values = {"authmanagers": managers, "OAUTHLIB_INSECURE_TRANSPORT": True, **overrides}
        return Service(tmp_path_factory.mktemp("pyos"), backends, port=port, overrides=values)

    return make


@pytest.fixture(scope="session")
def world(
    start_world: Callable[..., Service], slapd: Slapd | None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """Everything, running."""
    state, port = tmp_path_factory.mktemp("providers"), free_port()
    certified: CertifiedProvider = new_peer(CertifiedProvider, "desktop")
    obedient: ObedientProvider = new_peer(ObedientProvider, "client:1")
    site = f"http://127.0.0.1:{port}"
    redirects = [
        f"{site}/API/auth/oauth?manager=external&provider={name}" for name in providers(site, certified, obedient)
    ]
    explicit = {"servers": [slapd.ldap[0]] if slapd else ["ldap://127.0.0.1:1"], "ldap_basedn": PEOPLE}
    service = start_world(
        certified,
        obedient,
        port,
        managers={"explicit": {"providers": {"directory": explicit}}},
        services_http_request_denied={"autologin": False},
    )
    with certified.start(state, redirects, USERS), obedient.start(state), service:
        yield World(service, certified, obedient)


@pytest.fixture
def browser(world: World) -> Iterator[Browser]:
    with Browser(world.service.url) as opened:
        yield opened


@pytest.fixture
def other_browser(world: World) -> Iterator[Browser]:
    with Browser(world.service.url) as opened:
        yield opened


@pytest.fixture
def obedient(world: World) -> ObedientProvider:
    return world.obedient
