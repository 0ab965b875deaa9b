"""Whether host names exist, asked once at boot within a time limit."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterable

logger = logging.getLogger(__name__)


def unknown_hosts(hosts: Iterable[str], seconds: float) -> list[str]:
    """Those of ``hosts`` that the resolver says do not exist, asked all at once.

    A resolver that does not answer within ``seconds`` proves nothing: that is logged and the host is not listed.
    """
    names = sorted(set(hosts))
    unknown: list[str] = []
    threads = [
        threading.Thread(target=_ask, args=(name, unknown), name=f"resolve-{name}", daemon=True) for name in names
    ]
    for thread in threads:
        thread.start()
    for thread, name in zip(threads, names, strict=True):
        # All were started together, so the waits overlap.
        thread.join(seconds)
        if thread.is_alive():
            logger.warning("the resolver did not answer for %s within %.0f s", name, seconds)
    return sorted(unknown)


def _ask(name: str, unknown: list[str]) -> None:
    try:
        socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)):
            unknown.append(name)
        else:
            logger.warning("the name %s could not be resolved: %s", name, error.strerror)
    except (OSError, UnicodeError) as error:
        logger.warning("the name %s could not be resolved: %s", name, error)
