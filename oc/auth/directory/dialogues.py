"""Ways to bind in several steps (SASL): Kerberos by GSSAPI (RFC 4752) and NTLM by GSS-SPNEGO.

A dialogue is a generator: it yields what is sent and receives what the server answers.
"""

from __future__ import annotations

import hashlib
import importlib
import ipaddress
import ssl
from collections.abc import Generator
from pathlib import Path
from typing import Any, ClassVar, Final

from cryptography import x509

from oc.auth.directory.binding import Authenticated, LoginMethod, UserSearch
from oc.auth.directory.directory import Directory
from oc.auth.directory.serviceaccount import ServiceAccount
from oc.auth.directory.session import Entry, NotPermittedError, RefusedError, Session
from oc.auth.directory.transport import BoundedSocket, ServerFailedError
from oc.auth.kerberos import Kerberos
from oc.auth.ntlm import NtlmError, authenticate_message, negotiate_message, parse_challenge
from oc.auth.programs import ProgramError
from oc.errors import InvalidCredentialsError
from oc.model.deadline import Deadline

Dialogue = Generator[bytes, bytes, None]

MAX_NTLM_LOGIN: Final = 103
NO_SECURITY_LAYER: Final = 1


def gssapi_available() -> bool:
    """Whether the optional package gssapi is installed."""
    try:
        importlib.import_module("gssapi")
    except (ImportError, OSError):
        return False
    return True


def channel_bindings(session: Session) -> bytes | None:
    """What ties a login to this TLS connection (RFC 5929 tls-server-end-point); None without TLS."""
    raw = session.connection.socket
    raw = raw.raw if isinstance(raw, BoundedSocket) else raw
    certificate = raw.getpeercert(binary_form=True) if isinstance(raw, ssl.SSLSocket) else None
    if certificate is None:
        return None
    algorithm = x509.load_der_x509_certificate(certificate).signature_hash_algorithm
    name = algorithm.name if algorithm is not None else "sha256"
    # weak ones are replaced (RFC 5929 4.1)
    digest = hashlib.new("sha256" if name in ("md5", "sha1") else name, certificate).digest()
    return b"tls-server-end-point:" + digest


def ntlm_dialogue(session: Session, login: str, domain: str, password: str) -> Dialogue:
    """NTLMv2 as ``domain\\login``."""
    answer = yield negotiate_message()
    try:
        challenge = parse_challenge(answer)
    except NtlmError as error:
        raise NotPermittedError(f"{session.address}: {error}") from None
    yield authenticate_message(challenge, login, domain, password, bindings=channel_bindings(session))


def gssapi_dialogue(session: Session, cache: Path, realm: str) -> Dialogue:
    """Kerberos with the tickets in a cache, without a security layer of its own: TLS protects the connection.

    Needs the package gssapi.
    """
    gssapi: Any = importlib.import_module("gssapi")
    try:
        bindings = channel_bindings(session)
        context = gssapi.SecurityContext(
            name=gssapi.Name(f"{service_of(session)}@{realm}", gssapi.NameType.kerberos_principal),
            creds=gssapi.Credentials(usage="initiate", store={"ccache": f"FILE:{cache}"}),
            mech=gssapi.MechType.kerberos,
            usage="initiate",
            channel_bindings=gssapi.raw.ChannelBindings(application_data=bindings) if bindings else None,
        )
        answer: bytes | None = None
        while not context.complete:
            answer = yield context.step(answer) or b""  # the last one may be empty: it asks for the offer of layers
        offered = context.unwrap(answer).message
        if len(offered) != 4 or not offered[0] & NO_SECURITY_LAYER:
            raise NotPermittedError(f"{session.address}: the server demands a security layer: use ldaps")
        yield context.wrap(bytes((NO_SECURITY_LAYER, 0, 0, 0)), False).message
    except gssapi.exceptions.GSSError as error:
        raise NotPermittedError(f"{session.address}: {type(error).__name__}: no Kerberos login to it") from None


def service_of(session: Session) -> str:
    """The service principal of the server, without realm. Raises NotPermittedError for a server without a name."""
    host = session.address.host
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return f"ldap/{host.lower()}"
    raise NotPermittedError(f"{session.address}: Kerberos needs the name of the server, not its address")


class DialogueMethod(LoginMethod):
    """A login whose name is no DN: the entry is searched after the bind."""

    def _find_entry(self, session: Session, login: str) -> Entry:
        """The only entry of this login. Raises RefusedError."""
        users = self.users
        found = session.search(users.base, users.filter_for(login), users.scope, users.attributes, limit=2)
        if len(found) != 1:
            raise RefusedError(f"{session.address}: {len(found)} entries match the user filter")
        return found[0]


class DomainSimpleMethod(DialogueMethod):
    """Simple bind to an Active Directory, which takes ``DOMAIN\\login`` for a name."""

    name: ClassVar[str] = "SIMPLE"

    def __init__(self, directory: Directory, users: UserSearch, account: ServiceAccount | None, domain: str) -> None:
        super().__init__(directory, users, account)
        self.domain = domain

    def open(self, login: str, password: str, deadline: Deadline) -> Authenticated:
        def bind_and_find(session: Session) -> Entry:
            session.bind_simple(f"{self.domain}\\{login}", password)
            return self._find_entry(session, login)

        return Authenticated(*self.directory.run(bind_and_find, deadline))


class NtlmMethod(DialogueMethod):
    """NTLMv2 as ``DOMAIN\\login``."""

    name: ClassVar[str] = "NTLM"

    def __init__(self, directory: Directory, users: UserSearch, account: ServiceAccount | None, domain: str) -> None:
        super().__init__(directory, users, account)
        self.domain = domain

    def check(self, login: str, password: str) -> None:
        super().check(login, password)
        if len(login) > MAX_NTLM_LOGIN:
            raise InvalidCredentialsError(doing="check the length of credentials")

    def open(self, login: str, password: str, deadline: Deadline) -> Authenticated:
        def bind_and_find(session: Session) -> Entry:
            session.bind_dialogue("GSS-SPNEGO", ntlm_dialogue(session, login, self.domain, password))
            return self._find_entry(session, login)

        return Authenticated(*self.directory.run(bind_and_find, deadline))


class KerberosMethod(DialogueMethod):
    """A ticket proves the password; with it the directory is read."""

    name: ClassVar[str] = "KERBEROS"
    allows_auth_only: ClassVar[bool] = True

    def __init__(
        self, directory: Directory, users: UserSearch, account: ServiceAccount | None, realm: Kerberos
    ) -> None:
        super().__init__(directory, users, account)
        self.kerberos = realm

    def verify(self, login: str, password: str, deadline: Deadline) -> None:
        """Raises InvalidCredentialsError, AuthenticationFailureError."""
        with self.kerberos.ticket(login, password, deadline):
            return

    def open(self, login: str, password: str, deadline: Deadline) -> Authenticated:
        with self.kerberos.ticket(login, password, deadline) as cache:

            def bind_and_find(session: Session) -> Entry:
                try:
                    self.kerberos.service_ticket(cache, service_of(session), deadline)
                except ProgramError as error:
                    raise ServerFailedError(f"{session.address}: no ticket for it: {error}") from None
                session.bind_dialogue("GSSAPI", gssapi_dialogue(session, cache, self.kerberos.realm))
                return self._find_entry(session, login)

            return Authenticated(*self.directory.run(bind_and_find, deadline))
