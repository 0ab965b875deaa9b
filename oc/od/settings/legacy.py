"""Keys that are not declared options: dropped ones, CherryPy's own, and those with a note of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from oc.od.settings.containers import nearest
from oc.od.settings.declaration import Report

QUIETLY_IGNORED: Final[Mapping[str, str]] = {
    "desktop.release": "dropped after 3.3, without effect",
    "desktop.usedbussession": "without effect",
    "desktop.usedbussystem": "without effect",
    "webrtc.server": "Janus gateway of 3.1 and before, without effect",
    "webrtc.configuration": "Janus gateway of 3.1 and before, without effect",
}
"""Dropped keys of 3.x and 4.x files: accepted without a word, listed in the reference."""

OUTDATED: Final = (
    "desktop.image",
    "desktop.printerimage",
    "desktop.useprintercontainer",
    "desktop.soundimage",
    "desktop.usesoundcontainer",
    "desktop.shareipcnamespace",
    "desktop.desktopuseinternalfqdn",
    "desktop.imagePullSecret",
    "desktop.imagepullsecret",
    "desktop.host_config",
    "desktop.application_config",
    "desktop.allowPrivilegeEscalation",
    "routehostcookiename",
)
"""Keys of 2.x that mean nothing since 3.0."""

OUTDATED_PREFIXES: Final = ("stack.", "daemondocker")

HANDLED: Final = ("desktop.homedirdotcachetoemptydir",)
"""Old keys the loader translates itself."""

CHERRYPY_PREFIXES: Final = (
    "engine.",
    "log.",
    "tools.",
    "tree.",
    "request.",
    "response.",
    "hooks.",
    "checker.",
    "wsgi.",
    "error_page.",
)
CHERRYPY_KEYS: Final = ("environment",)
CHERRYPY_SERVER: Final = (
    "accepted_queue_size",
    "accepted_queue_timeout",
    "instance",
    "max_request_body_size",
    "max_request_header_size",
    "nodelay",
    "peercreds",
    "peercreds_resolve",
    "protocol_version",
    "socket_file",
    "socket_queue_size",
    "socket_timeout",
    "ssl_certificate",
    "ssl_certificate_chain",
    "ssl_ciphers",
    "ssl_context",
    "ssl_module",
    "ssl_private_key",
    "statistics",
    "thread_pool_max",
    "wsgi_version",
)
"""Attributes of CherryPy's server that files may set as `server.<name>`."""


def is_cherrypy(key: str) -> bool:
    """Whether the key belongs to CherryPy's own configuration namespaces."""
    return key in CHERRYPY_KEYS or key.startswith((*CHERRYPY_PREFIXES, "server."))


def check_cherrypy(key: str, known: tuple[str, ...], report: Report) -> None:
    """Warn about a `server.*` key CherryPy does not have either: it is passed on, but likely misspelt."""
    if key.startswith("server.") and key.removeprefix("server.") not in CHERRYPY_SERVER:
        near = nearest(key, (*known, *(f"server.{name}" for name in CHERRYPY_SERVER)))
        hint = f". Did you mean '{near}'?" if near else ""
        report.at(key).warn(f"not a known key of the web server, passed on as it is{hint}")


def take_outdated(values: dict[str, object], report: Report) -> None:
    """Remove the keys that mean nothing any more, with a warning for those of 2.x."""
    for key in list(values):
        if key in QUIETLY_IGNORED:
            del values[key]
        elif key in OUTDATED or key.startswith(OUTDATED_PREFIXES):
            report.at(key).warn("a key of version 2.x without effect since 3.0, remove it")
            del values[key]


def take_home_cache(values: dict[str, object], report: Report) -> None:
    """3.1: `desktop.homedirdotcachetoemptydir: True` stands for '.cache' in `directorytomemoryemptydir`."""
    given = values.pop(HANDLED[0], None)
    if given is None:
        return
    report.at(HANDLED[0]).warn("this name is outdated, use 'desktop.directorytomemoryemptydir': [ '.cache' ]")
    if given is not True:
        return
    listed = values.get("desktop.directorytomemoryemptydir", [])
    if isinstance(listed, list | tuple) and ".cache" not in listed:
        values["desktop.directorytomemoryemptydir"] = [*listed, ".cache"]
