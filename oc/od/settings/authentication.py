"""Login: managers and their providers, prelogin, logmein, OAuth flags, bans."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from oc.od.settings.containers import JsonMapping, ListOf, Record
from oc.od.settings.declaration import group, option
from oc.od.settings.kinds import Flag, Integer, IPNetwork, Network, Nullable, OrDefault, Text, Url
from oc.od.settings.providers import AuthManager, Managers

_HEADER = Text("a header name", pattern=r"[A-Za-z0-9_-]+", longest=100)


@dataclasses.dataclass(frozen=True)
class PreloginSettings:
    """`auth.prelogin`: users of untrusted networks log in only after a front SSO announced them."""

    enable: bool = option(Flag(), False, key="enable", meaning="Whether prelogin is asked for.")
    url: str | None = option(
        Nullable(Url("http", "https")),
        None,
        key="url",
        meaning="Where the template of the login page is fetched. Without it prelogin is off.",
        sample="https://FQDN/index.session.mustache.html",
        shipped="https://FQDN/index.session.mustache.html",
    )
    network_list: tuple[IPNetwork, ...] = option(
        ListOf(Network(), most=1000, single=True),
        (),
        key="network_list",
        meaning="Client networks that must use prelogin.",
        shipped=["0.0.0.0/0"],
    )
    http_attribut: str | None = option(
        Nullable(_HEADER),
        None,
        key="http_attribut",
        meaning="Request header that carries the user id; it overrides the parameter `userid`.",
        shipped="abcuserid",
        aliases=("http_attribute",),
    )
    http_attribut_to_force_auth_prelogin: str | None = option(
        Nullable(_HEADER),
        None,
        key="http_attribut_to_force_auth_prelogin",
        meaning="Request header whose presence asks for prelogin whatever the network.",
        shipped="MUST_USE_PRELOGIN",
        aliases=("http_attribute_to_force_auth_prelogin",),
    )
    maxprelogintimeout: int = option(
        Integer(1, 86_400, unit="s"), 120, key="maxprelogintimeout", meaning="Lifetime of a prelogin session."
    )
    timetoloadthewebpage: int = option(
        Integer(0, 86_400, unit="s"),
        5,
        key="timetoloadthewebpage",
        meaning="Time a browser needs to load the page; taken off the lifetime told to the page.",
        since="4.0",
    )


@dataclasses.dataclass(frozen=True)
class LogmeinSettings:
    """`auth.logmein`: login by a client certificate or a header set by a trusted proxy."""

    enable: bool = option(Flag(), False, key="enable", meaning="Whether the route is open.")
    network_list: tuple[IPNetwork, ...] = option(
        ListOf(Network(), most=1000, single=True),
        (),
        key="network_list",
        meaning="Networks the proxy in front may call from.",
        shipped=["0.0.0.0/0"],
    )
    permit_querystring: bool = option(
        Flag(),
        False,
        key="permit_querystring",
        meaning="Whether the user id may come from the query string.",
        shipped=True,
    )
    http_attribut: str | None = option(
        Nullable(_HEADER),
        None,
        key="http_attribut",
        meaning="Request header with the client's PEM certificate.",
        shipped="ABCDESKTOPUSERCERT",
        aliases=("http_attribute",),
    )
    oid_list: tuple[str, ...] = option(
        ListOf(Text("a dotted OID", pattern=r"[0-9]+(\.[0-9]+)+", longest=200), most=50),
        ("0.9.2342.19200300.100.1.1", "2.5.4.3"),
        key="oid_list",
        meaning="Attributes of the certificate's subject that may hold the user id, tried in order.",
    )


@dataclasses.dataclass(frozen=True)
class Fail2banSettings:
    """`fail2ban`: sources and logins that fail too often are refused for a while."""

    enable: bool = option(Flag(), False, key="enable", meaning="Whether failures are counted and bans apply.")
    failsbeforeban: int = option(Integer(1, 1_000_000), 5, key="failsbeforeban", meaning="Failures that make a ban.")
    banexpireafterseconds: int = option(
        Integer(1, 2**31 - 1, unit="s"),
        1800,
        key="banexpireafterseconds",
        meaning="Time after the last failure when it is forgotten.",
        shipped=600,
    )
    protectednetworks: tuple[IPNetwork, ...] = option(
        ListOf(Network(), most=1000, single=True),
        (),
        key="protectednetworks",
        meaning="Networks that are never banned.",
        shipped=["192.168.1.0/24"],
    )


@dataclasses.dataclass(frozen=True)
class OAuthSettings:
    """Flags of oauthlib; True acts as the environment variable of the same name set to 1."""

    insecure_transport: bool = option(
        Flag(),
        False,
        key="OAUTHLIB_INSECURE_TRANSPORT",
        meaning="Allows OAuth redirects and token requests over plain http: for tests on one machine only.",
        since="3.1",
        env="OAUTHLIB_INSECURE_TRANSPORT",
    )
    relax_token_scope: bool = option(
        Flag(),
        False,
        key="OAUTHLIB_RELAX_TOKEN_SCOPE",
        meaning="Accepts a token whose scope differs from the one asked for (Microsoft accounts).",
        since="3.1",
        env="OAUTHLIB_RELAX_TOKEN_SCOPE",
        shipped=True,
    )


@dataclasses.dataclass(frozen=True)
class AuthSettings:
    """Everything about logging in. `managers` always holds the four managers, in look-up order."""

    managers: Mapping[str, AuthManager] = option(
        Managers(),
        Managers.empty(),
        key="authmanagers",
        meaning="Managers `external` (OAuth 2.0), `metaexplicit`, `explicit` (LDAP, Active Directory) and `implicit` "
        "(anonymous), each with its `providers`: name -> dict.",
        default_text="no provider",
        secret=True,
    )
    prelogin: PreloginSettings = option(
        OrDefault(Record(PreloginSettings), PreloginSettings(), "prelogin is switched off"),
        PreloginSettings(),
        key="auth.prelogin",
        meaning="Login announced by a front SSO. With an error inside it is switched off.",
    )
    logmein: LogmeinSettings = option(
        OrDefault(Record(LogmeinSettings), LogmeinSettings(), "logmein is switched off"),
        LogmeinSettings(),
        key="auth.logmein",
        meaning="Login by client certificate. With an error inside it is switched off.",
    )
    oauth: OAuthSettings = group(OAuthSettings)

    def providers(self, manager: str) -> Mapping[str, JsonMapping]:
        """The enabled providers of a manager, in the order of the file; empty for an unknown name."""
        found = self.managers.get(manager)
        if found is None or not found.enabled:
            return {}
        return {name: given for name, given in found.providers.items() if given.get("enabled", True) is True}

    def any_provider_has(self, key: str) -> bool:
        """Whether some provider of some manager sets `key` to something."""
        return any(_set(given, key) for manager in self.managers.values() for given in manager.providers.values())


def _set(given: Mapping[str, Any], key: str) -> bool:
    return bool(given.get(key))
