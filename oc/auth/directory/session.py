"""One connection to one server: binding, searching, reading. Not thread-safe."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, NoReturn, Self

from oc.auth.directory.library import LDAPExceptionError, bind_operation, ldap3, validate_simple_password
from oc.auth.directory.servers import ServerAddress
from oc.auth.directory.transport import (
    BoundedSocket,
    DirectoryError,
    ServerFailedError,
    TransportOptions,
    open_connection,
    printable,
)
from oc.model.deadline import Deadline

logger = logging.getLogger(__name__)

MAX_ENTRIES: Final = 1000
SCOPES: Final[Mapping[str, str]] = {"BASE": ldap3.BASE, "LEVEL": ldap3.LEVEL, "SUBTREE": ldap3.SUBTREE}
EVERYTHING: Final = "(objectClass=*)"

_SUCCESS: Final = 0
_SIZE_LIMIT: Final = 4
_BIND_IN_PROGRESS: Final = 14
_NO_SUCH_OBJECT: Final = 32
_INVALID_DN: Final = 34
_TRY_ANOTHER: Final = frozenset((51, 52, 80))
"""busy, unavailable, other: this server cannot answer now."""

_NOT_THESE_CREDENTIALS: Final = frozenset((19, 21, 32, 34, 48, 49, 50, 53))
"""Results of a bind (RFC 4511 4.1.9) that speak of the user: wrong password, unknown, malformed, locked, barred."""

_NOT_THIS_WAY: Final = frozenset((7, 8, 13))
"""authMethodNotSupported, strongerAuthRequired, confidentialityRequired: the configuration is wrong."""


class RefusedError(DirectoryError):
    """The directory does not accept these credentials."""


class NotPermittedError(DirectoryError):
    """The directory does not accept this way to bind or to search: the configuration must change."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: attribute name in lower case -> its values; ``names``: the names as the server writes them."""

    dn: str
    values: Mapping[str, tuple[bytes, ...]] = field(default_factory=dict, repr=False)
    names: Mapping[str, str] = field(default_factory=dict, repr=False)

    def all(self, attribute: str) -> tuple[bytes, ...]:
        """The values of an attribute in any case of its name."""
        return self.values.get(attribute.lower(), ())

    def texts(self, attribute: str) -> tuple[str, ...]:
        """The values that are UTF-8."""
        return tuple(text for value in self.all(attribute) if (text := _text(value)) is not None)

    def first(self, attribute: str) -> str:
        """The first value that is UTF-8, ``""`` when there is none."""
        return next(iter(self.texts(attribute)), "")


class Session:
    """An open connection. Every request ends before ``deadline``; it can be moved for a connection used again."""

    def __init__(self, address: ServerAddress, options: TransportOptions, deadline: Deadline) -> None:
        """Raises ServerFailedError."""
        self.address = address
        self.connection: Any = open_connection(address, options, deadline)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def is_open(self) -> bool:
        """Whether the connection has not been closed, by us or on a failure."""
        return not self.connection.closed

    def use(self, deadline: Deadline) -> None:
        """Give the requests from now on until ``deadline``."""
        if isinstance(self.connection.socket, BoundedSocket):
            self.connection.socket.deadline = deadline

    def close(self) -> None:
        """Say goodbye and close; never raises, never waits long."""
        try:
            self.connection.unbind()
        except (LDAPExceptionError, OSError):
            self.connection.strategy.close()
        # the library keeps what it was given; nobody needs the password any more
        self.connection.password = None

    # --- binding ----------------------------------------------------------------------------------------------------

    def bind_simple(self, dn: str, password: str) -> None:
        """Simple bind (RFC 4513 5.1.3). Raises RefusedError, NotPermittedError, ServerFailedError."""
        # a bind with a name and no password succeeds as anonymous on many servers (RFC 4513 5.1.2)
        if not dn or not password or "\0" in password:
            raise RefusedError("no name or no password")
        try:
            prepared = validate_simple_password(password)  # SASLprep, RFC 4013
        except LDAPExceptionError:
            raise RefusedError("the password has characters that no password has") from None
        self.bind(user=dn, password=prepared, authentication=ldap3.SIMPLE)

    def bind_anonymous(self) -> None:
        """Anonymous bind. Raises as bind_simple."""
        self.bind(user=None, password=None, authentication=ldap3.ANONYMOUS)

    def bind(self, **arguments: Any) -> None:
        """Bind by any mechanism: the arguments of ``ldap3.Connection.rebind``. Raises as bind_simple."""
        try:
            self._call(lambda: self.connection.rebind(read_server_info=False, **arguments))
        finally:
            # nothing that ends in a trace or a dump should hold the password
            self.connection.password = None
            self.connection.request = None
        result = self.connection.result or {}
        if result.get("result") != _SUCCESS or not self.connection.bound:
            self._refuse_bind(result)

    def bind_dialogue(self, mechanism: str, dialogue: Generator[bytes, bytes, None]) -> None:
        """SASL bind (RFC 4513 5.2) by a generator that yields what is sent and receives what is answered.

        Raises as bind_simple, and what the dialogue raises.
        """
        connection = self.connection
        connection.sasl_in_progress = True
        try:
            token: bytes | None = next(dialogue)
            while token is not None:
                result = self._bind_step(mechanism, token)
                if result.get("result") not in (_BIND_IN_PROGRESS, _SUCCESS):
                    self._refuse_bind(result)
                token = _next_step(dialogue, bytes(result.get("saslCreds") or b""))
                if (token is None) != (result["result"] == _SUCCESS):
                    raise ServerFailedError(f"{self.address}: the server ends a bind before or after its time")
        finally:
            connection.sasl_in_progress = False
            connection.request = None
            dialogue.close()
        connection.bound = True

    def _bind_step(self, mechanism: str, token: bytes) -> Mapping[str, Any]:
        connection = self.connection

        def step() -> None:
            request = bind_operation(connection.version, ldap3.SASL, None, None, mechanism, token)
            connection.post_send_single_response(connection.send("bindRequest", request, None))

        self._call(step)
        result: Mapping[str, Any] = connection.result or {}
        return result

    def _refuse_bind(self, result: Mapping[str, Any]) -> NoReturn:
        code = result.get("result")
        reason = f"{self.address}: result {code} {printable(result.get('description'), 60)}: "
        reason += printable(result.get("message"))
        if code in _NOT_THESE_CREDENTIALS:
            raise RefusedError(reason)
        if code in _NOT_THIS_WAY:
            raise NotPermittedError(reason)
        raise ServerFailedError(reason)

    # --- reading ----------------------------------------------------------------------------------------------------

    def search(
        self, base: str, filter_text: str, scope: str, attributes: Iterable[str], *, limit: int = MAX_ENTRIES
    ) -> list[Entry]:
        """The entries that match, ``limit`` at most (the server may give fewer still). A base that is not there: none.

        scope: key of SCOPES. Continuation references are passed over. Raises NotPermittedError, ServerFailedError.
        """
        deadline = self.connection.socket.deadline if isinstance(self.connection.socket, BoundedSocket) else None
        seconds = max(1, int(deadline.remaining())) if deadline else 0
        self._call(
            lambda: self.connection.search(
                base,
                filter_text,
                search_scope=SCOPES[scope],
                dereference_aliases=ldap3.DEREF_NEVER,
                attributes=list(attributes),
                size_limit=limit,
                time_limit=seconds,
            )
        )
        result = self.connection.result or {}
        code = result.get("result")
        if code == _INVALID_DN:
            logger.warning("%s: %r of the configuration is no DN", self.address, base[:200])
        if code in (_NO_SUCH_OBJECT, _INVALID_DN):
            return []
        if code not in (_SUCCESS, _SIZE_LIMIT):
            reason = f"{self.address}: search: result {code} {printable(result.get('description'), 60)}: "
            reason += printable(result.get("message"))
            raise ServerFailedError(reason) if code in _TRY_ANOTHER else NotPermittedError(reason)
        found = [_entry(item) for item in self.connection.response or () if item.get("type") == "searchResEntry"]
        return found[:limit]

    def read(self, dn: str, attributes: Iterable[str], filter_text: str = EVERYTHING) -> Entry | None:
        """The entry of that very name if it matches the filter: the server compares names, we need not."""
        found = self.search(dn, filter_text, "BASE", attributes, limit=1)
        return found[0] if found else None

    def _call(self, request: Callable[[], object]) -> None:
        try:
            request()
        except (LDAPExceptionError, OSError) as error:
            # the library's texts may repeat what was sent: the kind of failure is enough
            self.connection.strategy.close()
            raise ServerFailedError(f"{self.address}: {type(error).__name__}") from None


def _entry(item: Mapping[str, Any]) -> Entry:
    raw: Mapping[str, Iterable[bytes]] = item["raw_attributes"]
    return Entry(
        str(item["dn"]),
        {name.lower(): tuple(bytes(value) for value in values) for name, values in raw.items()},
        {name.lower(): name for name in raw},
    )


def _next_step(dialogue: Generator[bytes, bytes, None], answer: bytes) -> bytes | None:
    """What is to be sent next, None when all has been said."""
    try:
        return dialogue.send(answer)
    except StopIteration:
        return None


def _text(value: bytes) -> str | None:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None
