"""CherryPy's bus: services start and stop with the engine, signals end it (services.md 1.4)."""

from __future__ import annotations

import functools
import logging
import signal
from collections.abc import Callable
from typing import Any, Protocol

import cherrypy
from cherrypy.process.plugins import SimplePlugin

logger = logging.getLogger(__name__)
STOP_SIGNALS = ("SIGTERM", "SIGQUIT", "SIGINT")


class Startable(Protocol):
    """What runs while the engine runs. Both calls are idempotent."""

    def start(self) -> None: ...
    def stop(self) -> None: ...


class ODCherryWatcher(SimplePlugin):  # type: ignore[misc]  # CherryPy has no types
    """Starts the services before the HTTP server opens its port (75) and stops them after it has closed (25)."""

    def __init__(self, bus: Any, services: Startable) -> None:
        super().__init__(bus)
        self._services = services

    def start(self) -> None:
        self._services.start()

    def stop(self) -> None:
        try:
            self._services.stop()
        except Exception:
            logger.exception("the services did not stop cleanly")

    start.priority = 50  # type: ignore[attr-defined]
    stop.priority = 50  # type: ignore[attr-defined]


def signals_while_booting() -> None:
    """Until StopSignals takes over: a stop signal ends the process with status 0, SIGHUP changes nothing.

    The first process of a container is not ended by a signal it does not handle: it would be killed after the grace.
    """
    for name in STOP_SIGNALS:
        signal.signal(getattr(signal, name), _end)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _end(number: int, frame: object) -> None:
    logger.warning("%s received before serving, stopping", signal.Signals(number).name)
    raise SystemExit(0)


class StopSignals:
    """SIGTERM, SIGQUIT and SIGINT ask the engine to exit, SIGHUP calls ``reload``; others keep CherryPy's meaning.

    A signal during the start is kept in ``requested``: CherryPy would end the process there and then, with requests
    in flight because the port may be open already.
    """

    def __init__(self, engine: Any = cherrypy.engine, reload: Callable[[], object] | None = None) -> None:
        self.requested = False
        self._engine = engine
        handler = engine.signal_handler
        ours = {name: functools.partial(self._received, name) for name in STOP_SIGNALS}
        if reload is not None:  # CherryPy would replace the process by a new one, with requests in flight
            ours["SIGHUP"] = functools.partial(_called, reload)
        handler.handlers = {**handler.handlers, **ours}
        handler.subscribe()

    def _received(self, name: str) -> None:
        logger.warning("%s received, stopping", name)
        self.requested = True
        if self._engine.state != self._engine.states.STARTING:
            self._engine.exit()


def _called(action: Callable[[], object], *_: object) -> None:
    """``action`` as a signal handler."""
    action()
