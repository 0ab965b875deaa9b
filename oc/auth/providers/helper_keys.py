"""The keys of directory providers that concern Kerberos, NTLM and helper programs (spec auth.md 1.6, 8.3)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from oc.auth.derived import KINDS, NTLM_AUTH, DerivedCredentials
from oc.auth.kerberos import Kerberos
from oc.auth.programs import DEFAULT_SECONDS

LONGEST_SECONDS: Final = 60


class HelperKeys(msgspec.Struct, frozen=True, kw_only=True):
    """By their names in the configuration. ``krb5cctype`` is not read: each login has a private cache, soon gone."""

    kerberos_realm: str | dict[str, str] | None = None
    krb5_conf: str | None = None
    kerberos_krb5_conf: str | None = None
    ktutil: str | None = None
    ntlm_command: str | None = None
    exec_timeout: int | None = None
    citrix_template: str | None = msgspec.field(default=None, name="citrix_all_regions.ini")

    @property
    def seconds(self) -> float:
        """Limit for each program."""
        return (
            min(self.exec_timeout, LONGEST_SECONDS) if self.exec_timeout and self.exec_timeout > 0 else DEFAULT_SECONDS
        )

    def kerberos(self, domain: str, base: Path) -> Kerberos | None:
        """The realm of a domain, None when none is configured. base: where relative paths start."""
        realm = self.kerberos_realm
        if isinstance(realm, dict):
            realm = {name.upper(): value for name, value in realm.items()}.get(domain.upper())
        if not realm:
            return None
        file = self.krb5_conf or self.kerberos_krb5_conf
        ktutil = self.ktutil or Kerberos.__dataclass_fields__["ktutil"].default
        return Kerberos(realm, base / file if file else None, str(ktutil), self.seconds)

    def derived(self, wanted: Mapping[str, Any], domain: str, base: Path) -> DerivedCredentials:
        """What is made at each login. wanted: the key ``auth_protocol``."""
        return DerivedCredentials(
            kinds=frozenset(kind for kind in KINDS if wanted.get(kind) is True),
            kerberos=self.kerberos(domain, base),
            ntlm_command=self.ntlm_command or NTLM_AUTH,
            citrix_template=base / self.citrix_template if self.citrix_template else None,
            seconds=self.seconds,
        )
