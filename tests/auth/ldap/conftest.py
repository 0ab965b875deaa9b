"""A real slapd with the planetexpress tree, one for the tests of a process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack.peers import slapd as peer
from devstack.peers.planetexpress import CYCLE
from devstack.peers.slapd import Slapd
from oc.auth.providers.ldap import LdapProvider

from .support import Directory


@pytest.fixture(scope="session")
def slapd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    reason = peer.missing()
    if reason:
        pytest.skip(f"no OpenLDAP server: {reason}")
    with Slapd(tmp_path_factory.mktemp("slapd")) as server:
        server.modify(CYCLE)
        yield server


@pytest.fixture
def own_slapd(tmp_path: Path) -> Iterator[Slapd]:
    """A server that a test may stop, restart or fill."""
    reason = peer.missing()
    if reason:
        pytest.skip(f"no OpenLDAP server: {reason}")
    with Slapd(tmp_path / "slapd") as server:
        yield server


@pytest.fixture
def directory(slapd: Slapd, tmp_path: Path) -> Iterator[Directory]:
    """Make providers of the tree; their connections are closed at the end."""
    made = Directory(slapd, tmp_path)
    yield made
    made.close()


@pytest.fixture
def planet(directory: Directory) -> LdapProvider:
    """The provider with nothing but the servers and the bases."""
    return directory.provider()
