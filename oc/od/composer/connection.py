"""How the browser reaches a desktop: the ``launchdesktop`` answer (spec http-api.md 3.1)."""

from __future__ import annotations

from urllib.parse import urlsplit

from oc.model.identity import ClientInfo


def target_host(routing: str, client: ClientInfo, default_host_url: str | None, websocketroute: str | None) -> str:
    """The host name, without port, that the browser must connect to. Never empty.

    routing: ``http_origin``, ``default_host_url``, ``host`` or ``bridge``. What cannot be parsed leaves the host of
    the requested URL.
    """
    start = client.host or "localhost"
    if routing == "bridge":
        return websocketroute or start
    if routing == "http_origin":
        return _host_of(client.origin) or start
    if routing == "default_host_url":
        return _host_of(default_host_url or client.origin) or start
    return start


def _host_of(url: str | None) -> str | None:
    if not url:
        return None
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
