"""Credentials made from login and password that become secrets of the user (spec auth.md 4.5, 8): ``auth_protocol``.

Each kind is made by a helper program or a template; one that cannot be made is logged and left out.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import chevron

from oc.auth.kerberos import Kerberos
from oc.auth.programs import DEFAULT_SECONDS, ProgramError, is_one_line, run_program
from oc.errors import ODError

logger = logging.getLogger(__name__)

NTLM_AUTH: Final = "/var/pyos/oc/auth/ntlm/ntlm_auth"
CNTLM: Final = "/usr/sbin/cntlm"
CITRIX_FILE: Final = "All_Regions.ini"
KINDS: Final = ("kerberos", "ntlm", "cntlm", "citrix")
MAX_TEMPLATE: Final = 1024 * 1024
_ESCAPED: Final = re.compile(r"(?<!\{)\{\{\s*([A-Za-z]+)\s*\}\}(?!\})")
_NTLM_KEYS: Final = ("NTLM_KEY", "NTLM_LM_HASH", "NTLM_NT_HASH")
_CNTLM_KEYS: Final = ("CNTLM_PASSLM", "CNTLM_PASSNT", "CNTLM_PASSNTLMV2")


@dataclass(frozen=True, slots=True)
class DerivedCredentials:
    """What one provider makes. ``kinds``: the keys of ``auth_protocol`` that are True. seconds: limit of a program."""

    kinds: frozenset[str]
    kerberos: Kerberos | None = None
    ntlm_command: str = NTLM_AUTH
    cntlm_command: str = CNTLM
    citrix_template: Path | None = None
    seconds: float = DEFAULT_SECONDS

    def claims(self, login: str, password: str, domain: str) -> dict[str, Mapping[str, Any]]:
        """Kind -> data of its secret. Never raises for a kind that cannot be made."""
        makers = {"kerberos": self._kerberos, "ntlm": self._ntlm, "cntlm": self._cntlm, "citrix": self._citrix}
        claims: dict[str, Mapping[str, Any]] = {}
        for kind in KINDS:
            if kind not in self.kinds:
                continue
            try:
                claims[kind] = makers[kind](login, password, domain)
            except ProgramError as error:
                logger.error("no %s credentials for a login: %s", kind, error)
            except ODError as error:
                logger.error("no %s credentials for a login: %s", kind, error.doing or error.message)
        return claims

    def _kerberos(self, login: str, password: str, domain: str) -> Mapping[str, Any]:
        if self.kerberos is None:
            raise ProgramError("kerberos_realm is not configured")
        return {
            "PRINCIPAL": self.kerberos.principal(login).partition("@")[0],
            "REALM": self.kerberos.realm,
            "keytab": self.kerberos.keytab(login, password),
            "krb5_conf": self.kerberos.configuration(),
        }

    def _ntlm(self, login: str, password: str, domain: str) -> Mapping[str, Any]:
        if "\0" in password:
            raise ProgramError("the password has characters ntlm_auth does not take")
        printed = run_program((self.ntlm_command,), environment={"NTLM_PASSWORD": password}, seconds=self.seconds)
        found = {name: value for name, _, value in (line.strip().partition("=") for line in printed.splitlines())}
        return {"NTLM_USER": login, "NTLM_DOMAIN": domain, **_required(found, _NTLM_KEYS, "ntlm_auth")}

    def _cntlm(self, login: str, password: str, domain: str) -> Mapping[str, Any]:
        if not is_one_line(password) or login.startswith("-") or domain.startswith("-"):
            raise ProgramError("login or password have characters cntlm does not take")
        command = (self.cntlm_command, "-H", "-u", login, "-d", domain)
        printed = run_program(command, given=f"{password}\n", seconds=self.seconds)
        words = [line.split() for line in printed.replace("Password:", "\n").splitlines()]
        found = {f"CNTLM_{line[0].upper()}": line[1] for line in words if len(line) > 1}
        return {"NTLM_USER": login, "NTLM_DOMAIN": domain, **_required(found, _CNTLM_KEYS, "cntlm")}

    def _citrix(self, login: str, password: str, domain: str) -> Mapping[str, Any]:
        if self.citrix_template is None:
            raise ProgramError("citrix_all_regions.ini is not configured")
        if not all(is_one_line(text) for text in (login, password)):
            raise ProgramError("login or password have characters an ini file does not take")
        try:
            with self.citrix_template.open("rb") as file:
                template = file.read(MAX_TEMPLATE).decode()
        except (OSError, UnicodeDecodeError) as error:
            raise ProgramError(f"citrix_all_regions.ini cannot be read: {type(error).__name__}") from None
        values = {"username": login, "password": password, "domain": domain}
        # an ini file, not HTML: the values stand as they are
        template = _ESCAPED.sub(r"{{& \1 }}", template)
        return {CITRIX_FILE: str(chevron.render(template, values))}


def _required(found: Mapping[str, str], names: tuple[str, ...], program: str) -> dict[str, str]:
    missing = [name for name in names if not found.get(name)]
    if missing:
        raise ProgramError(f"{program} did not print {', '.join(missing)}")
    return {name: found[name] for name in names}
