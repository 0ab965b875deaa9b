"""Names of desktops in a name server: by the update service (services.md 9.1), or by RFC 2136 dynamic updates."""

from __future__ import annotations

import ipaddress
import logging
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol

import dns.exception
import dns.query
import dns.rcode
import dns.tsig
import dns.update
import msgspec
import requests

from oc.model.names import is_dns_label
from oc.od.settings.others import InternalDnsSettings

logger = logging.getLogger(__name__)

SERVICE_PORT: Final = 8080
SERVICE_SECONDS: Final = 2.0
UPDATE_SECONDS: Final = 5.0
MAX_ANSWER: Final = 64 * 1024
WORKERS: Final = 2
MAX_WAITING: Final = 256


class Registry(Protocol):
    """Where names are written. Nothing raises; ``hostname`` is a label, the domain is configured."""

    def add(self, hostname: str, address: str) -> str | None:
        """Give the name that address; the whole name, or None when that was refused."""

    def remove(self, hostname: str) -> bool:
        """Take the name away; whether it is gone."""


class _Answer(msgspec.Struct, rename="pascal"):
    success: bool = False
    address: str = ""
    addr_type: str = ""


class UpdateService:
    """The HTTP service: ``GET http://<server>:8080/update``. It can only add names."""

    def __init__(self, settings: InternalDnsSettings, port: int = SERVICE_PORT) -> None:
        self._settings = settings
        server = settings.server or ""
        host = f"[{server}]" if server.count(":") > 1 and not server.startswith("[") else server
        self._url = f"http://{host}:{port}/update"

    def add(self, hostname: str, address: str) -> str | None:
        parameters = {"secret": self._settings.secret or "", "domain": hostname, "addr": address}
        try:
            with requests.get(
                self._url, params=parameters, timeout=SERVICE_SECONDS, stream=True, allow_redirects=False
            ) as response:
                body = response.raw.read(MAX_ANSWER, decode_content=True)
                status = response.status_code
            answer = msgspec.json.decode(body, type=_Answer)
        except (requests.RequestException, msgspec.MsgspecError, OSError) as error:
            # the text of the error holds the URL, and the URL the secret
            logger.error("the name %s is not registered: %s", hostname, type(error).__name__)
            return None
        if status != 200 or not answer.success or answer.address != address or answer.addr_type != "A":
            logger.error("the name %s is not registered: the service answers %d", hostname, status)
            return None
        return f"{hostname}.{self._settings.domain}"

    def remove(self, hostname: str) -> bool:
        """The service knows no removal: the next desktop of the name replaces the address."""
        return False


class DynamicUpdates:
    """RFC 2136 updates over TCP, signed with TSIG (RFC 8945) when a key is configured."""

    def __init__(self, settings: InternalDnsSettings) -> None:
        self._settings = settings
        self._key: dns.tsig.Key | None = None
        if settings.rfc2136_keyname and settings.rfc2136_keysecret:
            self._key = dns.tsig.Key(
                settings.rfc2136_keyname, settings.rfc2136_keysecret, settings.rfc2136_keyalgorithm
            )

    def add(self, hostname: str, address: str) -> str | None:
        kind = "AAAA" if ipaddress.ip_address(address).version == 6 else "A"
        update = self._message()
        update.delete(hostname)
        update.add(hostname, self._settings.rfc2136_ttl, kind, address)
        return f"{hostname}.{self._settings.domain}" if self._send(update, hostname) else None

    def remove(self, hostname: str) -> bool:
        update = self._message()
        update.delete(hostname)
        return self._send(update, hostname)

    def _message(self) -> dns.update.UpdateMessage:
        update = dns.update.UpdateMessage(self._settings.domain)
        if self._key is not None:
            update.use_tsig(self._key)
        return update

    def _send(self, update: dns.update.UpdateMessage, hostname: str) -> bool:
        server, port = self._settings.rfc2136_server or "", self._settings.rfc2136_port
        try:
            where = socket.getaddrinfo(server.strip("[]"), port, type=socket.SOCK_STREAM)[0][4][0]
            answer = dns.query.tcp(update, str(where), timeout=UPDATE_SECONDS, port=port)
        except (dns.exception.DNSException, OSError, EOFError) as error:
            logger.error("the name %s is not updated: %s", hostname, type(error).__name__)
            return False
        if answer.rcode() != dns.rcode.NOERROR:
            logger.error("the name %s is not updated: %s", hostname, dns.rcode.to_text(answer.rcode()))
            return False
        return True


class InternalDns:
    """Writes the names of desktops in the background: no launch waits for a name server."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._pool = ThreadPoolExecutor(WORKERS, "internaldns")
        self._room = threading.BoundedSemaphore(MAX_WAITING)

    def started(self, hostname: str, address: str | None) -> None:
        """A desktop runs at ``address``."""
        if address and is_dns_label(hostname):
            self._submit(lambda: self._registry.add(hostname, address))

    def ended(self, hostname: str) -> None:
        """A desktop is gone."""
        if is_dns_label(hostname):
            self._submit(lambda: self._registry.remove(hostname))

    def stop(self, *, wait: bool = False) -> None:
        """Drop what waits, or finish it first."""
        self._pool.shutdown(wait=wait, cancel_futures=not wait)

    def _submit(self, work: Callable[[], object]) -> None:
        if not self._room.acquire(blocking=False):
            logger.error("the name of a desktop is not written: too many wait")
            return
        try:
            self._pool.submit(work).add_done_callback(lambda _: self._room.release())
        except RuntimeError:  # stopping
            self._room.release()


def make_internal_dns(settings: InternalDnsSettings) -> InternalDns | None:
    """What the configuration asks for: RFC 2136 where ``rfc2136_server`` is given, else the service; None for none."""
    if not settings.enable:
        return None
    return InternalDns(DynamicUpdates(settings) if settings.rfc2136_server else UpdateService(settings))
