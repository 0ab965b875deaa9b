"""Which running desktop may be kept, and what an opened one means for messages, counters and history.

The orchestrator is the real one's interface with answers set by the test; the wires are tested in tests/session and
tests/od/orchestrator.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from oc.errors import UnavailableError
from oc.model.identity import ClientInfo, Identity
from oc.od.accounting import Accounting
from oc.od.composer.desktops import Desktops
from oc.od.composer.ending import Endings
from oc.od.composer.webhooks import Webhooks
from oc.od.messageinfo import MessageInfo
from oc.od.orchestrator import Desktop, LaunchFailedError
from oc.od.settings import settings_from_mapping
from oc.sharecache import LocalCache

CLIENT = ClientInfo(ipaddr="10.0.0.1")


def desktop(**changes: Any) -> Desktop:
    values: dict[str, Any] = {
        "name": "fry-0001a",
        "uid": "u1",
        "status": "Running",
        "ip": "10.244.0.7",
        "node": "node1",
        "hostname": "fry-0001a",
        "container_id": "containerd://1",
        "container_name": "x-graphical",
        "fqdn": None,
        "labels": {},
        "interfaces": {},
        "creation_timestamp": None,
        "lastlogin_datetime": None,
        "websocketrouting": "http_origin",
        "websocketroute": None,
        "vnc_secret": "auth-vnc-fry",
        "vnc_password": "secret",
    }
    return Desktop(**(values | changes))


class Cluster:
    """The part of the orchestrator that opening a desktop uses; ``calls`` says what was asked."""

    def __init__(self, found: Desktop | None = None, created: Desktop | None = None) -> None:
        self.found = found
        self.created = created or desktop(name="fry-0002b")
        self.calls: list[str] = []
        self.failing: dict[str, Exception] = {}

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if name in self.failing:
            raise self.failing[name]

    def find_desktop(self, identity: Identity) -> Desktop | None:
        self._called("find")
        return self.found

    def find_cached_desktop(self, identity: Identity) -> Desktop | None:
        return self.found

    def resume_desktop(self, found: Desktop, *arguments: Any) -> Desktop:
        self._called("resume")
        return found

    def create_desktop(
        self, identity: Identity, client: ClientInfo, progress: Callable[[str], None], *a: Any, **k: Any
    ) -> Desktop:
        self._called("create")
        return self.created

    def wait_ready(self, found: Desktop, *arguments: Any) -> bool:
        self._called("ready")
        return True

    def delete_desktop_pod(self, found: Desktop, *arguments: Any) -> None:
        self._called("delete")

    def remove_desktop(self, identity: Identity) -> bool:
        self._called("remove")
        return self.found is not None


class Records:
    """Keeps what history was given."""

    def __init__(self) -> None:
        self.desktop_events: list[tuple[str, str]] = []

    def desktop(self, identity: Identity, client: ClientInfo, eventtype: str, desktop_id: str, *rest: Any) -> None:
        self.desktop_events.append((eventtype, desktop_id))


class Opened:
    """One Desktops over a Cluster."""

    def __init__(self, cluster: Cluster, *uniq: str) -> None:
        settings = settings_from_mapping({"desktop.pod": {}, "desktop.policies": {"user_uniq_labels": list(uniq)}})
        self.cache = LocalCache()
        self.messages = MessageInfo(self.cache)
        self.accounting = Accounting()
        self.history = Records()
        endings = Endings(self.accounting, self.history, self.cache)  # type: ignore[arg-type]
        webhooks = Webhooks(settings, cluster, self.cache)  # type: ignore[arg-type]
        self.desktops = Desktops(
            settings,
            cluster,  # type: ignore[arg-type]
            self.messages,
            self.accounting,
            self.history,  # type: ignore[arg-type]
            self.cache,
            endings,
            webhooks,
        )

    def count(self, name: str) -> int:
        return self.accounting.snapshot()["desktop"].get(name, 0)


def fry(**labels: str) -> Identity:
    return Identity(provider="planet", providertype="ldap", userid="fry", name="Fry", labels=labels)


@pytest.mark.parametrize(
    ("user", "pod", "kept"),
    [
        ({}, {}, True),
        ({"crew": "ship"}, {"crew": "ship"}, True),
        ({"crew": "ship"}, {}, False),
        ({}, {"crew": "ship"}, False),
        ({"crew": "ship"}, {"crew": "staff"}, False),
        ({"crew": "Ship Crew"}, {"crew": "ship-crew"}, True),
        ({"other": "1"}, {"other": "2"}, True),
    ],
)
def test_a_desktop_is_kept_only_while_the_named_labels_are_equal(
    user: dict[str, str], pod: dict[str, str], kept: bool
) -> None:
    cluster = Cluster(desktop(labels=pod))
    opened = Opened(cluster, "crew")
    result = opened.desktops.open(fry(**user), CLIENT)
    assert cluster.calls == (["find", "resume"] if kept else ["find", "delete", "create", "ready"])
    assert result.name == ("fry-0001a" if kept else "fry-0002b")


def test_a_unique_label_written_with_capitals_is_compared_as_the_pod_carries_it() -> None:
    cluster = Cluster(desktop(labels={"shipcrew": "true"}))
    Opened(cluster, "ShipCrew").desktops.open(fry(ShipCrew="true"), CLIENT)
    assert cluster.calls == ["find", "resume"]


def test_a_desktop_that_cannot_be_resumed_is_replaced() -> None:
    cluster = Cluster(desktop())
    cluster.failing["resume"] = LaunchFailedError("your desktop is gone")
    opened = Opened(cluster)
    assert opened.desktops.open(fry(), CLIENT).name == "fry-0002b"
    assert cluster.calls == ["find", "resume", "delete", "create", "ready"]
    assert opened.count("deletesuccess") == 1
    assert opened.history.desktop_events == [("start", "fry-0002b")]


def test_a_desktop_that_ends_while_its_services_start_is_discarded_and_not_handed_out() -> None:
    cluster = Cluster()
    cluster.failing["ready"] = LaunchFailedError("the desktop ended while its services were starting")
    with pytest.raises(LaunchFailedError, match="services"):
        Opened(cluster).desktops.open(fry(), CLIENT)
    assert cluster.calls == ["find", "create", "ready", "delete"]


def test_nothing_is_created_while_the_old_desktop_cannot_be_deleted() -> None:
    cluster = Cluster(desktop(labels={"crew": "staff"}))
    cluster.failing["delete"] = UnavailableError("the API is away")
    opened = Opened(cluster, "crew")
    with pytest.raises(LaunchFailedError):
        opened.desktops.open(fry(crew="ship"), CLIENT)
    assert "create" not in cluster.calls
    assert opened.count("deletefailed") == 1


def test_a_cluster_that_cannot_tell_creates_nothing() -> None:
    cluster = Cluster()
    cluster.failing["find"] = UnavailableError("the API is away")
    with pytest.raises(UnavailableError):
        Opened(cluster).desktops.open(fry(), CLIENT)
    assert cluster.calls == ["find"]


def test_a_desktop_without_address_or_password_is_removed_whole() -> None:
    cluster = Cluster(created=desktop(ip=None))
    with pytest.raises(LaunchFailedError, match="reload"):
        Opened(cluster).desktops.open(fry(), CLIENT)
    assert cluster.calls[-1] == "remove"


@pytest.mark.parametrize("failing", ["", "create"])
def test_the_message_slot_ends_with_the_end_marker_whatever_happens(failing: str) -> None:
    cluster = Cluster()
    opened = Opened(cluster)
    if failing:
        cluster.failing[failing] = LaunchFailedError("no node is free")
        with pytest.raises(LaunchFailedError):
            opened.desktops.open(fry(), CLIENT)
        assert opened.count("createfailed") == 1
    else:
        opened.desktops.open(fry(), CLIENT)
        assert opened.count("new") == opened.count("createsuccess") == 1
    assert opened.messages.popflush("fry") == "stopinfo"


def test_removing_without_a_desktop_says_so_and_records_nothing() -> None:
    opened = Opened(Cluster())
    assert opened.desktops.remove(fry(), CLIENT) is False
    assert opened.history.desktop_events == []
    assert opened.count("remove") == 0
