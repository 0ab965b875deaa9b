"""The LDAP library, imported in one place: what it imports from pyasn1 under old names is its own affair."""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import ldap3
    from ldap3.core.exceptions import LDAPExceptionError
    from ldap3.operation.bind import bind_operation
    from ldap3.operation.search import parse_filter
    from ldap3.protocol.sasl.sasl import validate_simple_password

__all__ = ["LDAPExceptionError", "bind_operation", "ldap3", "parse_filter", "validate_simple_password"]
