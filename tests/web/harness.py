"""The API in this process on a free port, with controllers and services that a test chooses."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import cherrypy
from cherrypy._cpserver import Server as Adapter

from controllers.root import Root
from oc.od.base_controller import BaseController
from oc.od.services import ODServices
from oc.od.settings import settings_from_mapping
from oc.web.application import Api, make_api
from oc.web.lanes import Lane
from oc.web.policy import KeyThrottle
from oc.web.server import SERVER_MAX_BODY, ApiServer

JSON_HEADERS = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Answer:
    """A response as it came over the wire."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def message(self) -> str:
        return str(self.json["message"])


@dataclass
class Client:
    """Sends exactly what it is told to: no cleaning of paths, no headers of its own but Host."""

    port: int
    headers: dict[str, str] = field(default_factory=dict)

    def request(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        length: str | None = "auto",
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.putrequest(method, target, skip_accept_encoding=True)
            for name, value in {**self.headers, **(headers or {})}.items():
                connection.putheader(name, value)
            if body is not None and length == "auto":
                connection.putheader("Content-Length", str(len(body)))
            elif length not in (None, "auto"):
                connection.putheader("Content-Length", str(length))
            connection.endheaders(body)
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())
        finally:
            connection.close()

    def get(self, target: str, headers: Mapping[str, str] | None = None) -> Answer:
        return self.request("GET", target, headers=headers)

    def post(self, target: str, document: object, headers: Mapping[str, str] | None = None) -> Answer:
        return self.request("POST", target, json.dumps(document).encode(), {**JSON_HEADERS, **(headers or {})})


@dataclass
class RecordingBans:
    """A ban list in memory, as the guard sees it."""

    addresses: set[str] = field(default_factory=set)
    logins: set[str] = field(default_factory=set)
    failed: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def is_banned_ip(self, address: str) -> bool:
        self.asked.append(address)
        return address in self.addresses

    def is_banned_login(self, login: str) -> bool:
        self.asked.append(login)
        return login in self.logins

    def fail_ip(self, address: str) -> None:
        self.failed.append(address)


def make_services(values: Mapping[str, object] | None = None, **attributes: Any) -> ODServices:
    """A container with settings of ``values`` and nothing else but ``attributes``."""
    services = ODServices()
    services.settings = settings_from_mapping({"desktop.pod": {}, **(values or {})}, {})
    for name, value in attributes.items():
        setattr(services, name, value)
    return services


def make_server(api: Api, threads: int, shutdown_timeout: float = 5) -> ApiServer:
    """A server on a free port, with the settings of the product."""
    cherrypy.log.screen = False
    adapter = Adapter()
    adapter.socket_host, adapter.socket_port = "127.0.0.1", 0
    adapter.socket_timeout, adapter.thread_pool, adapter.shutdown_timeout = 5, threads, shutdown_timeout
    adapter.max_request_body_size = SERVER_MAX_BODY
    return ApiServer(api, adapter)


@contextmanager
def serving(
    *controllers: BaseController,
    services: ODServices | None = None,
    package: ModuleType | None = None,
    lanes: Mapping[str, Lane] | None = None,
    throttle: KeyThrottle | None = None,
    threads: int = 4,
) -> Iterator[Client]:
    """Serve until the block ends."""
    container = services or make_services()
    api = make_api(container, Root(), package, extra=controllers, lanes=lanes, throttle=throttle)
    server = make_server(api, threads)
    server.prepare()
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield Client(server.bind_addr[1])
    finally:
        server.stop()
        thread.join(5)
