"""The search account of a directory, and its connections, which are used again: they belong to no user."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, TypeVar

from oc.auth.directory.directory import Directory
from oc.auth.directory.session import NotPermittedError, Session
from oc.auth.directory.transport import ServerFailedError
from oc.errors import AuthenticationFailureError
from oc.model.deadline import Deadline
from oc.model.filevalue import read_value

logger = logging.getLogger(__name__)
T = TypeVar("T")

MAX_IDLE: Final = 4
"""Connections kept open for the next search."""

IDLE_SECONDS: Final = 60.0
"""Directories close idle connections after a while; an older one is not worth a try."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Login (a DN for a simple bind) and password, as configured: files are read at each use, so they may change."""

    login: str
    password: str = field(repr=False)

    def read(self) -> tuple[str, str]:
        """Login and password. Raises AuthenticationFailureError when a file cannot be read."""
        try:
            return read_value(self.login), read_value(self.password)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            logger.error("the file of a service account cannot be read: %s", reason)
            raise AuthenticationFailureError(
                "the directory cannot be searched", doing="read a service account"
            ) from None


class ServiceAccount:
    """Searches with the search account. Thread-safe.

    bind: binds a new connection with login and password; a simple bind unless another way is given.
    """

    def __init__(
        self,
        directory: Directory,
        credentials: Credentials,
        bind: Callable[[Session, str, str], None] = Session.bind_simple,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directory = directory
        self._credentials = credentials
        self._bind = bind
        self._clock = clock
        self._lock = threading.Lock()
        self._idle: list[tuple[Session, float]] = []

    def run(self, work: Callable[[Session], T], deadline: Deadline) -> T:
        """``work`` on a bound connection. It is repeated once when a connection used before turns out to be dead.

        Raises InvalidCredentialsError when the account is refused, AuthenticationFailureError otherwise.
        """
        session = self._take(deadline)
        if session is not None:
            try:
                with self._kept(session):
                    return work(session)
            except ServerFailedError:
                logger.debug("%s: an idle connection was closed by the server", self._directory.name)
            except NotPermittedError as error:
                logger.error("%s: %s", self._directory.name, error)
                raise AuthenticationFailureError(
                    "the directory cannot be searched", doing="search a directory"
                ) from None
        login, password = self._credentials.read()

        def bound(fresh: Session) -> T:
            self._bind(fresh, login, password)
            return work(fresh)

        session, result = self._directory.run(bound, deadline)
        self._keep(session)
        return result

    def close(self) -> None:
        """Close the idle connections."""
        with self._lock:
            idle, self._idle = self._idle, []
        for session, _ in idle:
            session.close()

    @contextmanager
    def _kept(self, session: Session) -> Iterator[None]:
        try:
            yield
        except BaseException:
            session.close()
            raise
        self._keep(session)

    def _take(self, deadline: Deadline) -> Session | None:
        """The connection used last, if it is fresh enough; older ones are closed."""
        with self._lock:
            now = self._clock()
            fresh = [(session, since) for session, since in self._idle if now - since < IDLE_SECONDS]
            stale = [session for session, since in self._idle if now - since >= IDLE_SECONDS]
            taken = fresh.pop()[0] if fresh else None
            self._idle = fresh
        for session in stale:
            session.close()
        if taken is not None:
            taken.use(deadline)
        return taken

    def _keep(self, session: Session) -> None:
        with self._lock:
            if session.is_open and len(self._idle) < MAX_IDLE:
                self._idle.append((session, self._clock()))
                return
        session.close()
