"""Listening socket, public address, request gates, logging: what the HTTP side needs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

from oc.od.settings.containers import JsonDict, JsonMapping, ListOf, MapOf
from oc.od.settings.declaration import derived, option
from oc.od.settings.kinds import Choice, Flag, Integer, IpAddress, IPNetwork, Network, Nullable, OrDefault, Text, Url

WEBSOCKET_ROUTES: Final = ("default_host_url", "host", "http_origin", "bridge")


@dataclasses.dataclass(frozen=True)
class ServerSettings:
    """The listening server. `cherrypy` holds the keys handed to CherryPy untouched."""

    socket_host: str = option(
        Text("an address to listen on", longest=253),
        "0.0.0.0",  # noqa: S104  (a container listens on all its addresses; the network policy filters)
        key="server.socket_host",
        meaning="Address to listen on.",
    )
    socket_port: int = option(
        Integer(0, 65535),
        8000,
        key="server.socket_port",
        meaning="TCP port to listen on; must equal the router's PYOS_SERVICE_PORT. 0 takes a free port.",
    )
    thread_pool: int = option(
        Integer(1, 1000),
        10,
        key="server.thread_pool",
        meaning="Worker threads, that is requests served at the same time.",
        since="3.3",
    )
    shutdown_timeout: int = option(
        Integer(0, 3600, unit="s"),
        5,
        key="server.shutdown_timeout",
        meaning="Time running requests get to finish when the process is told to stop.",
        since="4.0",
    )
    geolocation_ipaddr: str | None = option(
        OrDefault(Nullable(IpAddress()), None, "the address is found from default_host_url instead"),
        None,
        key="server.geolocation_ipaddr",
        meaning="Public address of the site, used as 'server' in location answers and Active Directory site "
        "queries. Not a listening address.",
        since="3.3",
        default_text="the resolved host of `default_host_url`, else 127.0.0.1",
        shipped="127.0.0.1",
        aliases=("server.default.ipaddr",),
    )
    cherrypy: Mapping[str, Any] = derived({}, show=False)


@dataclasses.dataclass(frozen=True)
class HttpSettings:
    """Public URL, proxies and limits of requests."""

    default_host_url: str | None = option(
        OrDefault(Nullable(Url("http", "https")), None, "treated as absent: login redirects will not work"),
        None,
        key="default_host_url",
        meaning="Public base URL of the site, without a path: target of login redirects, host of icon URLs and, "
        "with `websocketrouting: 'default_host_url'`, of the websocket.",
        shipped="http://localhost",
    )
    websocketrouting: str = option(
        Choice(*WEBSOCKET_ROUTES),
        "http_origin",
        key="websocketrouting",
        meaning="Host the browser is told to open its websocket to: that of `default_host_url`, that of the "
        "request (`host`), that of the Origin header (`http_origin`), or the desktop's own address (`bridge`).",
    )
    trusted_proxy_cidr: tuple[IPNetwork, ...] = option(
        ListOf(Network(), most=1000, single=True),
        (),
        key="trusted_proxy_cidr",
        meaning="Networks of the reverse proxies whose X-Forwarded-For entries are believed. When not empty, a "
        "request that comes through other proxies is refused (401). Empty: only private networks are believed.",
        since="4.4",
        sample=["10.0.0.0/8", "fd00::/8"],
    )
    services_http_request_denied: Mapping[str, bool] = option(
        MapOf(Flag(), most=100),
        {"autologin": True},
        key="services_http_request_denied",
        meaning="Login routes that are refused; a missing entry refuses too. Only `autologin` is consulted.",
    )
    max_log_body_size: int = option(
        Integer(0, 10_000_000, unit="bytes"),
        2048,
        key="max_log_body_size",
        meaning="Longest response body written to the trace log; the rest is cut.",
        since="4.4",
    )
    version_public: bool = option(
        Flag(),
        True,
        key="version_public",
        meaning="Whether `/API/version` tells the build date and commit without a user token.",
        since="4.4, extension",
    )

    openapi_public: bool = option(
        Flag(),
        False,
        key="openapi_public",
        meaning="Whether everybody may read the description of this API (`/API/openapi.json`, `/API/docs`). Otherwise "
        "it is shown to whom the policy of ManagerController admits.",
        since="4.4, extension",
    )

    @property
    def secured(self) -> bool:
        """Whether users reach the site over https."""
        return bool(self.default_host_url and self.default_host_url.startswith("https://"))

    def denied(self, service: str) -> bool:
        """Whether the named login route is refused."""
        return self.services_http_request_denied.get(service, True)


@dataclasses.dataclass(frozen=True)
class LoggingSettings:
    """The logging document, as `logging.config.dictConfig` takes it."""

    document: JsonMapping | None = option(
        OrDefault(Nullable(JsonDict()), None, "records go to the console"),
        None,
        key="logging",
        meaning="A `logging.config.dictConfig` document, version 1. Without it, records go to the console.",
        secret=True,
    )
