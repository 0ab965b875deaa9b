"""Kerberos 5 with the programs of MIT krb5: a ticket for a password, tickets for services, keytabs.

Programs, because libraries take krb5.conf from the environment of the whole process, and providers differ in it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from oc.auth.programs import DEFAULT_SECONDS, ProgramError, is_one_line, private_directory, run_program
from oc.errors import AuthenticationFailureError, InvalidCredentialsError
from oc.model.deadline import Deadline

logger = logging.getLogger(__name__)

REFUSED: Final = (
    "kerberos credentitials validation failed Major (851968): Unspecified GSS failure.  "
    "Minor code may provide more information, Minor (2529638936)"
)
"""What the login page knows as a wrong password (the spelling is its own); said for unknown users, too."""

MAX_KRB5_CONF: Final = 64 * 1024
_REFUSALS: Final = re.compile(
    r"Preauthentication failed|Password incorrect|not found in Kerberos database|credentials have been revoked"
    r"|expired|Cannot find KDC for realm .* while getting|KDC policy rejects request|Password has expired",
    re.IGNORECASE,
)
_PRINCIPAL: Final = re.compile(r"[A-Za-z0-9._$-]{1,256}@[A-Za-z0-9.-]{1,255}")


@dataclass(frozen=True, slots=True)
class Kerberos:
    """One realm. krb5_conf: the file to use instead of the system's. seconds: limit for each program."""

    realm: str
    krb5_conf: Path | None = None
    ktutil: str = "/usr/bin/ktutil"
    seconds: float = DEFAULT_SECONDS

    def principal(self, login: str) -> str:
        """The principal of a login. Raises InvalidCredentialsError for a login no principal can have."""
        name = f"{login.upper()}@{self.realm}"
        if not _PRINCIPAL.fullmatch(name):
            raise InvalidCredentialsError(REFUSED, doing="make a principal")
        return name

    @contextmanager
    def ticket(self, login: str, password: str, deadline: Deadline) -> Iterator[Path]:
        """A credential cache with a ticket-granting ticket, destroyed afterwards.

        Raises InvalidCredentialsError for an unknown login and a wrong password, with the same text;
        AuthenticationFailureError when no KDC answers.
        """
        principal = self.principal(login)
        if not is_one_line(password):
            raise InvalidCredentialsError(REFUSED, doing="check the characters of a password")
        with private_directory() as directory:
            cache = directory / "ccache"
            command = ("kinit", "-c", f"FILE:{cache}", principal)
            try:
                run_program(
                    command, given=f"{password}\n", environment=self._environment(), seconds=deadline.cap(self.seconds)
                )
            except ProgramError as error:
                logger.info("no ticket: %s: %s", error, _reason(error.output))
                if _REFUSALS.search(error.output):
                    raise InvalidCredentialsError(REFUSED, doing="get a Kerberos ticket") from None
                raise AuthenticationFailureError(
                    "Can not contact the Kerberos servers", doing="get a Kerberos ticket"
                ) from None
            yield cache

    def service_ticket(self, cache: Path, service: str, deadline: Deadline, realm: str | None = None) -> None:
        """Put a ticket for ``service`` of this or a trusting realm into the cache. Raises ProgramError."""
        command = ("kvno", "-q", "-c", f"FILE:{cache}", f"{service}@{realm or self.realm}")
        run_program(command, environment=self._environment(), seconds=deadline.cap(self.seconds))

    def keytab(self, login: str, password: str) -> bytes:
        """A keytab that gives tickets without the password. Raises ProgramError, InvalidCredentialsError."""
        principal = self.principal(login)
        if not is_one_line(password):
            raise ProgramError("the password has characters ktutil does not take")
        with private_directory() as directory:
            file = directory / "keytab"
            # -f asks the KDC for salt and key type, which an Active Directory chooses by the account
            lines = (f"addent -password -p {principal} -k 1 -f", password, f"wkt {file}", "q", "")
            run_program((self.ktutil,), given="\n".join(lines), environment=self._environment(), seconds=self.seconds)
            try:
                return file.read_bytes()
            except OSError:
                raise ProgramError("ktutil made no keytab") from None

    def configuration(self) -> str:
        """The text of krb5.conf for the desktop, ``""`` when none is configured. Raises ProgramError."""
        if self.krb5_conf is None:
            return ""
        try:
            with self.krb5_conf.open("rb") as file:
                return file.read(MAX_KRB5_CONF).decode()
        except (OSError, UnicodeDecodeError) as error:
            raise ProgramError(f"krb5_conf cannot be read: {type(error).__name__}") from None

    def _environment(self) -> dict[str, str]:
        return {"KRB5_CONFIG": str(self.krb5_conf)} if self.krb5_conf else {}


def _reason(output: str) -> str:
    """The last line of a program's output: its error text, without the prompt that names the principal."""
    lines = output.strip().splitlines()
    return lines[-1].rpartition(": ")[2][:200] if lines else ""
