"""A directory as a whole: several servers, of which the next is asked when one fails."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from oc.auth.directory.servers import ServerList
from oc.auth.directory.session import NotPermittedError, RefusedError, Session
from oc.auth.directory.transport import ServerFailedError, TransportOptions
from oc.errors import AuthenticationFailureError, InvalidCredentialsError
from oc.model.deadline import Deadline

logger = logging.getLogger(__name__)
T = TypeVar("T")

LONGEST_SECONDS: Final = 50.0
"""No login waits longer for all servers together."""

ALL_AWAY: Final = "Can not contact LDAP servers, all servers are unavailable"


@dataclass(frozen=True, slots=True)
class Directory:
    """The servers of one directory and how to reach them. ``name`` is for the log. Thread-safe."""

    name: str
    servers: ServerList
    options: TransportOptions

    def deadline(self) -> Deadline:
        """The time one login has for everything it asks."""
        each = self.options.connect_seconds + self.options.receive_seconds
        return Deadline(min(LONGEST_SECONDS, each * max(1, len(self.servers))))

    def run(self, work: Callable[[Session], T], deadline: Deadline) -> tuple[Session, T]:
        """``work`` on a new connection to some server; the connection stays open and is the caller's to close.

        ``work`` raises ServerFailedError to be repeated on the next server; so it must be safe to repeat.
        Raises InvalidCredentialsError when credentials are refused, AuthenticationFailureError when no server is
        left or the directory does not permit what is asked.
        """
        for address in self.servers.order():
            session: Session | None = None
            try:
                session = Session(address, self.options, deadline)
                result = work(session)
            except ServerFailedError as error:
                self._give_up(session)
                if not deadline.expired:
                    self.servers.failed(address)
                logger.warning("%s: %s", self.name, error)
            except RefusedError as error:
                self._give_up(session)
                logger.info("%s: login refused: %s", self.name, error)
                raise InvalidCredentialsError(doing=f"log in to {self.name}") from None
            except NotPermittedError as error:
                self._give_up(session)
                logger.error("%s: %s", self.name, error)
                raise AuthenticationFailureError(
                    "the directory does not permit this login", doing=f"log in to {self.name}"
                ) from None
            except BaseException:
                self._give_up(session)
                raise
            else:
                self.servers.answered(address)
                return session, result
        raise AuthenticationFailureError(ALL_AWAY, doing=f"log in to {self.name}")

    @staticmethod
    def _give_up(session: Session | None) -> None:
        if session is not None:
            session.close()
