"""Directories spoken to over LDAP: servers and connections, ways to bind, groups and accounts. Knows no login rules."""

from oc.auth.directory.binding import METHODS, Authenticated, LoginMethod, UserSearch
from oc.auth.directory.directory import Directory
from oc.auth.directory.serviceaccount import Credentials, ServiceAccount
from oc.auth.directory.session import Entry, NotPermittedError, RefusedError, Session
from oc.auth.directory.transport import DirectoryError, ServerFailedError, TransportOptions

__all__ = [
    "METHODS",
    "Authenticated",
    "Credentials",
    "Directory",
    "DirectoryError",
    "Entry",
    "LoginMethod",
    "NotPermittedError",
    "RefusedError",
    "ServerFailedError",
    "ServiceAccount",
    "Session",
    "TransportOptions",
    "UserSearch",
]
