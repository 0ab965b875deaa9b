"""Every connection an installation needs is admitted by deploy/50-networkpolicies.yaml, others are not."""

from __future__ import annotations

import pytest

from tests.support import Api

from .networkpolicies import OUTSIDE, Peer, admitted
from .support import Object, documents, pod_templates

POLICIES: list[Object] = [item for item in documents() if item["kind"] == "NetworkPolicy"]
PODS = {name.partition("/")[2]: Peer(template["metadata"]["labels"]) for name, template in pod_templates()}
PYOS, MONGODB, MEMCACHED = (PODS[f"{name}-od"] for name in ("pyos", "mongodb", "memcached"))
COLLECTOR, INIT = PODS["pyos-garbage-collector"], PODS["mongodb-init"]
# pods of other manifests: the label is what the guide asks of clients of pyos
ROUTER = Peer({"run": "router-od", "netpol/pyos": "true"})
CONSOLE = Peer({"run": "console-od", "netpol/pyos": "true"})
FRONT_END = Peer({"run": "nginx-od"})
OPENLDAP = Peer({"run": "openldap-od"})

NEEDED = {
    "router": (ROUTER, PYOS, 8000, "TCP"),
    "console": (CONSOLE, PYOS, 8000, "TCP"),
    "garbage collector": (COLLECTOR, PYOS, 8000, "TCP"),
    "names for the garbage collector": (COLLECTOR, OUTSIDE, 53, "UDP"),
    "database": (PYOS, MONGODB, 27017, "TCP"),
    "members of the replica set": (MONGODB, MONGODB, 27017, "TCP"),
    "accounts of the database": (INIT, MONGODB, 27017, "TCP"),
    "names for the accounts": (INIT, OUTSIDE, 53, "UDP"),
    "cache": (PYOS, MEMCACHED, 11211, "TCP"),
    "directory in the cluster": (PYOS, OPENLDAP, 389, "TCP"),
    "prelogin page of the front end": (PYOS, FRONT_END, 80, "TCP"),
    **{
        f"{name} {port}/{protocol}": (client, OUTSIDE, port, protocol)
        for name, client, port, protocols in (
            ("names", PYOS, 53, ("TCP", "UDP")),
            ("names for the database", MONGODB, 53, ("TCP", "UDP")),
            ("API server", PYOS, 6443, ("TCP",)),
            ("API server's Service, OpenID, issue tracker", PYOS, 443, ("TCP",)),
            ("directory", PYOS, 389, ("TCP",)),
            ("directory with TLS", PYOS, 636, ("TCP",)),
            ("global catalogue", PYOS, 3268, ("TCP",)),
            ("global catalogue with TLS", PYOS, 3269, ("TCP",)),
            ("Kerberos", PYOS, 88, ("TCP", "UDP")),
            ("Graylog", PYOS, 12201, ("TCP", "UDP")),
            ("syslog", PYOS, 514, ("TCP", "UDP")),
            ("Graylog's syslog", PYOS, 1514, ("TCP", "UDP")),
        )
        for protocol in protocols
    },
}


@pytest.fixture(scope="module")
def desktop(request: pytest.FixtureRequest) -> Peer:
    """A desktop as the product labels it."""
    service, stack = request.getfixturevalue("service"), request.getfixturevalue("stack")
    with Api(service.url) as api:
        api.login()
        api.result("composer/launchdesktop")
        pods = stack.cluster_admin("GET", f"/api/v1/namespaces/{stack.namespace}/pods")["items"]
        (labels,) = [
            pod["metadata"]["labels"] for pod in pods if pod["metadata"]["labels"].get("access_userid") == api.userid
        ]
        api.post("auth/logout")
    assert labels["type"] == "x11server"
    return Peer(labels)


@pytest.mark.parametrize("flow", NEEDED)
def test_what_an_installation_needs_is_admitted(flow: str) -> None:
    source, target, port, protocol = NEEDED[flow]
    assert admitted(POLICIES, source, target, port, protocol)


def test_a_desktop_reaches_neither_database_nor_cache_nor_control_plane(desktop: Peer) -> None:
    for target, port in ((MONGODB, 27017), (MEMCACHED, 11211), (PYOS, 8000)):
        assert not admitted(POLICIES, desktop, target, port)
    assert admitted(POLICIES, desktop, OUTSIDE, 443)  # desktops have no policy here: those of abcdesktop select them


@pytest.mark.parametrize(
    "source", [OUTSIDE, FRONT_END, OPENLDAP, Peer()], ids=["outside", "front end", "ldap", "other"]
)
def test_nobody_else_reaches_them_either(source: Peer) -> None:
    for target, port in ((MONGODB, 27017), (MEMCACHED, 11211), (PYOS, 8000)):
        assert not admitted(POLICIES, source, target, port)


def test_clients_of_pyos_do_not_reach_what_is_behind_it() -> None:
    for source in (ROUTER, CONSOLE, COLLECTOR):
        assert not admitted(POLICIES, source, MONGODB, 27017)
        assert not admitted(POLICIES, source, MEMCACHED, 11211)
    assert not admitted(POLICIES, INIT, MEMCACHED, 11211)


def test_pods_open_only_the_port_they_serve() -> None:
    for target in (PYOS, MONGODB, MEMCACHED):
        for port in (22, 80, 8001, 27018):
            assert not admitted(POLICIES, PYOS, target, port)


def test_the_database_and_the_cache_call_nobody() -> None:
    for source in (MONGODB, MEMCACHED):
        for target, port in ((OUTSIDE, 443), (OUTSIDE, 6443), (PYOS, 8000)):
            assert not admitted(POLICIES, source, target, port)
    assert not admitted(POLICIES, MEMCACHED, OUTSIDE, 53, "UDP")


def test_the_control_plane_calls_no_other_port() -> None:
    for port in (22, 25, 80, 445, 3306, 8080, 10250):
        assert not admitted(POLICIES, PYOS, OUTSIDE, port), port
