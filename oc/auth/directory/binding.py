"""How a user proves the password: one class for each ``auth_type`` (spec auth.md 1.6).

A way to log in ends with a connection bound as the user and the DN of the user's entry. ``METHODS`` says which class
serves which ``auth_type``.
"""

from __future__ import annotations

import abc
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import ClassVar, Final, Self

from oc.auth.directory.directory import Directory
from oc.auth.directory.escaping import escape_dn, fill
from oc.auth.directory.serviceaccount import ServiceAccount
from oc.auth.directory.session import Entry, RefusedError, Session
from oc.errors import AuthenticationError, InvalidCredentialsError
from oc.model.deadline import Deadline

logger = logging.getLogger(__name__)

MAX_LOGIN: Final = 256
MAX_PASSWORD: Final = 128


@dataclass(frozen=True, slots=True)
class UserSearch:
    """How the entry of a login is found. filter: with one ``%s``. rdn: attribute of a user's name below ``base``."""

    base: str
    scope: str
    filter: str
    rdn: str = "cn"
    attributes: tuple[str, ...] = ("*",)

    def constructed_dn(self, login: str) -> str:
        """The DN a user has when all users are children of ``base``."""
        return f"{self.rdn}={escape_dn(login)},{self.base}"

    def filter_for(self, login: str) -> str:
        return fill(self.filter, login)

    def dn_of(self, session: Session, login: str) -> str | None:
        """The DN of the only entry that matches; None when there is none, or more than one."""
        found = session.search(self.base, self.filter_for(login), self.scope, ("1.1",), limit=2)
        if len(found) > 1:
            logger.warning("a login matches several entries of the directory")
        return found[0].dn if len(found) == 1 else None


@dataclass(frozen=True, slots=True)
class Authenticated:
    """A user who proved the password. ``session`` is bound as the user; ``entry`` is what the user may read of it."""

    session: Session
    entry: Entry

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.session.close()


class LoginMethod(abc.ABC):
    """One ``auth_type``. Immutable, used by many threads at once."""

    name: ClassVar[str]
    allows_auth_only: ClassVar[bool] = False
    """Whether a login without reading the directory is possible."""

    def __init__(self, directory: Directory, users: UserSearch, service_account: ServiceAccount | None = None) -> None:
        self.directory = directory
        self.users = users
        self.service_account = service_account

    def check(self, login: str, password: str) -> None:
        """Raises InvalidCredentialsError for what no directory needs to be asked about."""
        if not 1 <= len(login) <= MAX_LOGIN or not 1 <= len(password) <= MAX_PASSWORD:
            raise InvalidCredentialsError(doing="check the length of credentials")
        if not login.isprintable() or not login.strip() or "\0" in password or not _encodable(login, password):
            raise InvalidCredentialsError(doing="check the characters of credentials")

    @abc.abstractmethod
    def open(self, login: str, password: str, deadline: Deadline) -> Authenticated:
        """Authenticate; the caller closes the session.

        Raises InvalidCredentialsError for an unknown login and a wrong password alike, with the same requests made of
        the directory; AuthenticationFailureError when it cannot answer.
        """

    def _own_entry(self, session: Session, dn: str, login: str) -> Entry:
        """The entry ``dn`` if it is one that may log in. Raises RefusedError."""
        entry = session.read(dn, self.users.attributes, self.users.filter_for(login))
        if entry is None:
            raise RefusedError(f"{session.address}: the entry does not match the user filter, or cannot be read")
        return entry


class SimpleMethod(LoginMethod):
    """Bind with the DN made of the login; with a service account, with the DN it finds.

    An unknown login is tried all the same, so that it costs what a wrong password costs.
    """

    name: ClassVar[str] = "SIMPLE"

    def open(self, login: str, password: str, deadline: Deadline) -> Authenticated:
        dn = self._found_dn(login, deadline) or self.users.constructed_dn(login)

        def bind_and_read(session: Session) -> Entry:
            session.bind_simple(dn, password)
            return self._own_entry(session, dn, login)

        return Authenticated(*self.directory.run(bind_and_read, deadline))

    def _found_dn(self, login: str, deadline: Deadline) -> str | None:
        if self.service_account is None:
            return None
        try:
            return self.service_account.run(lambda session: self.users.dn_of(session, login), deadline)
        except AuthenticationError as error:
            # until now this account was not needed to log in: its failure keeps nobody out who can do without
            logger.error("%s: the service account cannot search: %s", self.directory.name, error.message)
            return None


class AnonymousMethod(LoginMethod):
    """Look for the DN without a name, then bind with it."""

    name: ClassVar[str] = "ANONYMOUS"

    def open(self, login: str, password: str, deadline: Deadline) -> Authenticated:
        def find_and_read(session: Session) -> Entry:
            session.bind_anonymous()
            dn = self.users.dn_of(session, login) or self.users.constructed_dn(login)
            session.bind_simple(dn, password)
            return self._own_entry(session, dn, login)

        return Authenticated(*self.directory.run(find_and_read, deadline))


MethodMaker = Callable[[Directory, UserSearch, ServiceAccount | None], LoginMethod]

METHODS: Final[Mapping[str, MethodMaker]] = {"SIMPLE": SimpleMethod, "ANONYMOUS": AnonymousMethod}
"""``auth_type`` -> its class."""


def _encodable(*texts: str) -> bool:
    """JSON may carry lone surrogates, UTF-8 may not."""
    try:
        for text in texts:
            text.encode()
    except UnicodeEncodeError:
        return False
    return True
