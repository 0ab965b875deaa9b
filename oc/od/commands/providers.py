"""Whether the identity providers can be reached from here."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from oc.auth import AuthService
from oc.auth.directory.session import Session
from oc.auth.directory.transport import DirectoryError
from oc.auth.oidc.flow import LoginFlow
from oc.auth.providers.base import Provider
from oc.auth.providers.external import ExternalProvider
from oc.auth.providers.ldap import LdapProvider
from oc.errors import ODError
from oc.model.deadline import Deadline
from oc.od.commands.finding import Finding, State

SECONDS: Final = 5.0


def check_providers(auth: AuthService, configured: dict[str, list[str]]) -> Iterator[Finding]:
    """One finding for each provider. configured: names by manager, to tell those that could not be used."""
    for manager, names in configured.items():
        known = auth.managers.manager(manager)
        for name in names:
            what = f"provider {manager}/{name}"
            provider = known.find(name) if known is not None else None
            if provider is None:
                yield Finding(State.FAILED, what, "left out, the log above says why")
            elif isinstance(provider, LdapProvider):
                yield _directory(what, provider)
            elif isinstance(provider, ExternalProvider):
                yield _external(what, provider)
            else:
                yield Finding(State.OK, what, _needs_nothing(provider))


def _needs_nothing(provider: Provider) -> str:
    return "asks no server" if provider.manager == "implicit" else "asks the other providers"


def _directory(what: str, provider: LdapProvider) -> Finding:
    """Each server gets a connection, with TLS where configured; then the search account logs in once."""
    directory = provider.servers
    good, bad = [], []
    for address in directory.servers.servers:
        try:
            with Session(address, directory.options, Deadline(SECONDS)):
                good.append(str(address))
        except DirectoryError as error:
            bad.append(f"{address} ({error})" if str(address) not in str(error) else str(error))
    if not good:
        return Finding(State.FAILED, what, f"no server answers: {'; '.join(bad)}")
    account = ", no search account"
    if provider.service_account is not None:
        try:
            provider.service_account.run(lambda session: None, directory.deadline())
            account = ", the search account is accepted"
        except (ODError, DirectoryError) as error:
            return Finding(State.FAILED, what, f"{', '.join(good)}: the search account does not work: {error}")
        finally:
            provider.close()
    if bad:
        return Finding(State.LIMITED, what, f"{', '.join(good)} answer{account}; not: {'; '.join(bad)}")
    return Finding(State.OK, what, f"{', '.join(good)}{account}")


def _external(what: str, provider: ExternalProvider) -> Finding:
    """Discovery where it is used, and a connection to the host that codes are exchanged at."""
    link = provider.login_link(LoginFlow(secrets.token_bytes(32)).start(provider.name, ""))
    if link is None:
        return Finding(State.FAILED, what, "its discovery document cannot be read")
    url = urlsplit(provider.external.token_url or link)
    host, port = url.hostname or "", url.port or (443 if url.scheme == "https" else 80)
    try:
        socket.create_connection((host, port), SECONDS).close()
    except (OSError, UnicodeError) as error:
        return Finding(State.FAILED, what, f"{host}:{port} cannot be reached: {error}")
    return Finding(State.OK, what, f"{host}:{port} can be reached")
