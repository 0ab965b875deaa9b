"""The providers of the manager ``explicit``: a login and a password, checked by a directory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oc.auth.providers.activedirectory import ActiveDirectoryProvider
from oc.auth.providers.base import Provider, ProviderContext
from oc.auth.providers.ldap import LdapProvider


def make_explicit(name: str, given: Mapping[str, Any], context: ProviderContext) -> Provider:
    """An Active Directory when the entry has a domain, plain LDAP otherwise. Raises ProviderError."""
    return (ActiveDirectoryProvider if given.get("domain") else LdapProvider)(name, given, context)
