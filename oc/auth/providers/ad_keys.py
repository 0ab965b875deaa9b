"""The keys of Active Directory providers on top of those of LDAP (spec auth.md 1.7)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from oc.auth.dcs import DomainControllers
from oc.auth.directory.directory import Directory
from oc.auth.directory.escaping import check_template, is_dn
from oc.auth.directory.servers import ServerAddress, parse_server
from oc.auth.directory.transport import TransportOptions
from oc.auth.providers.ldap_keys import LdapKeys, LdapReader

USER_FILTER: Final = "(&(objectClass=user)(sAMAccountName=%s))"
GROUP_FILTER: Final = "(&(objectClass=group)(cn=%s))"
SITE_FILTER: Final = "(objectClass=subnet)"
MAX_AGE_SECONDS: Final = 3600


class AdKeys(LdapKeys, frozen=True, kw_only=True):
    """The keys by their names in the configuration."""

    domain: str | None = None
    domain_fqdn: str | None = None
    query_dcs: bool = False
    dcs_list_maxage: int | None = None
    site_subnetdn: str | None = None
    site_scope: str | None = None
    site_filter: str | None = None


class AdReader(LdapReader):
    """Reads them; of the LDAP keys, ``user_filter`` is not for Active Directory, ``filter`` is."""

    keys: AdKeys

    def __init__(self, keys: AdKeys, directory: Path) -> None:
        super().__init__(keys, directory, user_filter=USER_FILTER)

    def addresses(self) -> list[ServerAddress]:
        keys = self.keys
        if keys.servers:
            return super().addresses()
        if not keys.domain_fqdn:
            self.problems.append("servers or domain_fqdn: expected at least one server")
            return []
        return self._servers_of_domain(keys.domain_fqdn)

    def _servers_of_domain(self, fqdn: str) -> list[ServerAddress]:
        """The name of a domain has the addresses of its controllers."""
        try:
            return [parse_server(fqdn, secure=self.secure)]
        except ValueError as error:
            self.problems.append(f"domain_fqdn: {error}")
            return []

    @property
    def secure(self) -> bool:
        """Whether servers found by name are spoken to with TLS."""
        written = self.keys.servers if isinstance(self.keys.servers, list) else [self.keys.servers or ""]
        only_tls = any(written) and all(text.lower().startswith("ldaps://") for text in written if text)
        return self.keys.secure or (self.keys.ldap_protocol or "").lower() == "ldaps" or only_tls

    def directory(self, name: str, addresses: list[ServerAddress]) -> Directory:
        keys = self.keys
        if not keys.query_dcs:
            return super().directory(name, addresses)
        if not keys.domain_fqdn:
            self.problems.append("domain_fqdn: needed by query_dcs")
            return super().directory(name, addresses)
        age = keys.dcs_list_maxage if keys.dcs_list_maxage and keys.dcs_list_maxage > 0 else MAX_AGE_SECONDS
        servers = DomainControllers(keys.domain_fqdn, secure=self.secure, max_age=age, given=tuple(addresses))
        return Directory(name, servers, self.options())

    def options(self) -> TransportOptions:
        """How to reach the servers."""
        return self._options()

    def site_search(self) -> tuple[str, str, str]:
        """Base, scope and filter of the search for subnets."""
        keys = self.keys
        base = keys.site_subnetdn or f"CN=Subnets,CN=Sites,CN=Configuration,{keys.ldap_basedn or keys.basedn or ''}"
        if not is_dn(base) or len(base) > 1024:
            self.problems.append("site_subnetdn: expected a DN")
        written = self._checked("site_filter", lambda: check_template(keys.site_filter or SITE_FILTER, 0), SITE_FILTER)
        return base, self._scope("site_scope", "SUBTREE"), written
