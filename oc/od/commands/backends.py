"""``od.py --check-backends``: one line for each part pyos depends on, as it is now."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TextIO

import geoip2.database
import geoip2.errors
import maxminddb

from oc.auth import AuthService
from oc.datastore import DataStore
from oc.errors import ODError
from oc.od.asnumber import AsNumber
from oc.od.commands.finding import Finding, State
from oc.od.commands.providers import check_providers
from oc.od.commands.rights import rights
from oc.od.orchestrator.client import KubernetesClient, load_configuration
from oc.od.orchestrator.errors import KubernetesError
from oc.od.settings import ConfigurationError, Settings, load_settings
from oc.sharecache import open_cache

UNUSABLE: Final = 255
_PROBE_SECONDS: Final = 10


def check_backends(path: Path | str, environ: Mapping[str, str] | None = None, out: TextIO | None = None) -> int:
    """Print one line a part, each beginning with ok, limited or failed; return the exit status.

    0: all is well. 2: something optional is missing. 1: something needed is. 255: the configuration cannot be used.
    """
    stream = sys.stdout if out is None else out
    try:
        settings = load_settings(Path(path), environ)
    except ConfigurationError as error:
        print(error, file=sys.stderr)
        return UNUSABLE
    worst = State.OK
    for finding in findings(settings):
        print(finding, file=stream, flush=True)
        worst = max(worst, finding.state)
    return {State.OK: 0, State.LIMITED: 2, State.FAILED: 1}[worst]


def findings(settings: Settings, base: Path | None = None) -> Iterator[Finding]:
    """Look at every part, one after the other. base: directory of the account templates and databases."""
    directory = base or Path()
    yield _kubernetes(settings)
    yield _mongodb(settings)
    yield _memcached(settings)
    yield from _providers(settings, directory)
    yield from _databases(settings, directory)


def _kubernetes(settings: Settings) -> Finding:
    try:
        client = KubernetesClient(load_configuration(), settings.kubernetes.namespace)
    except ODError as error:
        return Finding(State.FAILED, "kubernetes", error.message)
    where = f"{client.configuration.host}, namespace {client.namespace}"
    try:
        major, minor = client.server_version()
        found = list(rights(client))
    except KubernetesError as error:
        return Finding(State.FAILED, "kubernetes", f"{where}: {error}")
    where += f", version {major}.{minor}"
    lacking = [right for right in found if not right.allowed]
    has = f"{len(found) - len(lacking)} of {len(found)} rights"
    if not lacking:
        return Finding(State.OK, "kubernetes", f"{where}: has all {len(found)} rights")
    without: dict[str, list[str]] = {}
    for right in lacking:
        without.setdefault(right.need.lost, []).append(str(right))
    text = "; ".join(f"lacks {', '.join(names)} (without: {lost})" for lost, names in without.items())
    state = State.LIMITED if all(right.need.optional for right in lacking) else State.FAILED
    return Finding(state, "kubernetes", f"{where}: has {has}; {text}")


def _mongodb(settings: Settings) -> Finding:
    hosts = ", ".join(f"{host}:{port}" for host, port in settings.mongodb.hosts())
    store = DataStore(settings.mongodb)
    try:
        refused = []
        for name in store.databases:
            if store.ping(name):
                continue
            if not store.available:  # the others would only take their time
                return Finding(State.FAILED, "mongodb", f"{hosts}: does not answer")
            refused.append(name)
        if refused:
            return Finding(State.FAILED, "mongodb", f"{hosts}: answers, refuses our account in {', '.join(refused)}")
        topology = store.client(store.databases[0]).topology_description.topology_type_name
    finally:
        store.close()
    if "ReplicaSet" not in topology:
        text = f"{hosts}: a {topology}, no replica set: other replicas see new applications only after a while"
        return Finding(State.LIMITED, "mongodb", text)
    return Finding(State.OK, "mongodb", f"{hosts}: account accepted in {', '.join(store.databases)}")


def _memcached(settings: Settings) -> Finding:
    address = settings.memcached
    if address.host == "local":
        return Finding(State.LIMITED, "memcached", "kept in the process: good for one replica only")
    where = f"{address.host}:{address.port}"
    cache = open_cache(address)
    key, value = f"check.{secrets.token_hex(8)}", secrets.token_hex(8)
    if cache.set(key, value, _PROBE_SECONDS) and cache.get(key) == value:
        return Finding(State.OK, "memcached", f"{where}: stores and finds")
    return Finding(State.FAILED, "memcached", f"{where}: does not answer")


def _providers(settings: Settings, directory: Path) -> Iterator[Finding]:
    try:
        auth = AuthService(settings, base=directory)
    except OSError as error:
        yield Finding(State.FAILED, "providers", f"an account template cannot be read: {error}")
        return
    configured = {
        name: [provider for provider, keys in manager.providers.items() if keys.get("enabled", True) is True]
        for name, manager in settings.auth.managers.items()
        if manager.enabled
    }
    yield from check_providers(auth, configured)


def _databases(settings: Settings, directory: Path) -> Iterator[Finding]:
    for file in (settings.geoip.city_database, settings.geoip.asn_database):
        path = directory / file
        try:
            with geoip2.database.Reader(path) as reader:
                metadata = reader.metadata()
        except (OSError, maxminddb.InvalidDatabaseError, geoip2.errors.GeoIP2Error) as error:
            reason = getattr(error, "strerror", None) or "not a database"
            yield Finding(State.LIMITED, f"file {file}", f"{reason}: addresses are not located")
            continue
        built = datetime.fromtimestamp(metadata.build_epoch, UTC).date()
        yield Finding(State.OK, f"file {file}", f"{metadata.database_type} of {built}")
    ipasn = settings.geoip.ipasn_database
    if AsNumber(directory / ipasn).available:
        yield Finding(State.OK, f"file {ipasn}", "AS numbers can be looked up")
    else:
        yield Finding(State.LIMITED, f"file {ipasn}", "cannot be read: rules on AS numbers use GeoLite2-ASN only")
