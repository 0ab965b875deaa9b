"""A desktop's end is written down once, whoever causes or sees it."""

from __future__ import annotations

from typing import Any

from devstack.service import Service
from oc.model.identity import Identity
from oc.od.accounting import Accounting
from oc.od.composer.ending import Endings
from oc.od.orchestrator.podmodel import Pod, pod_from
from oc.sharecache import LocalCache
from tests.od.orchestrator.support import CLIENT, PODS, ClusterAdmin
from tests.support import Api
from tests.waiting import eventually

from .conftest import Records

POD: Pod = pod_from(
    {"metadata": {"name": "fry-1", "uid": "u1", "labels": {"access_userid": "fry"}}, "spec": {"nodeName": "node1"}}
)
FRY = Identity("planet", "ldap", "fry", "Fry")


def stops(api: Api, name: str) -> list[dict[str, Any]]:
    found = api.manager("GET", "datastore/desktop/history").json()
    return [one for one in found if one["desktop_id"] == name and one["eventtype"] == "stop"]


def launched(api: Api, admin: ClusterAdmin) -> str:
    api.login()
    api.result("composer/launchdesktop")
    return str(admin.pods(str(api.userid))[0]["metadata"]["name"])


def test_a_pod_that_goes_by_itself_is_in_the_history_once_with_two_replicas(
    service: Service, replica: Service, admin: ClusterAdmin
) -> None:
    with Api(service.url, service.api_key) as api:
        name = launched(api, admin)
        admin.api("DELETE", f"{PODS}/{name}?gracePeriodSeconds=0")
        assert eventually(lambda: stops(api, name))
        (record,) = stops(api, name)
        assert record["isgarbaged"] is False
        assert record["userid"] == api.userid
        assert record["node"]
        counted = [
            Api(one.url, one.api_key).get("accounting/metrics?format=json", headers={"X-API-Key": one.api_key}).json()
            for one in (service, replica)
        ]
        assert sum(metrics["desktop"].get("ended", 0) for metrics in counted) >= 1
        api.post("auth/logout")


def test_a_logout_is_in_the_history_once_with_the_users_client(
    service: Service, replica: Service, admin: ClusterAdmin
) -> None:
    with Api(service.url, service.api_key) as api:
        name = launched(api, admin)
        api.post("auth/logout")
        assert eventually(lambda: not admin.exists(f"{PODS}/{name}"), 60)
        assert eventually(lambda: stops(api, name))
        (record,) = stops(api, name)
        assert record["isgarbaged"] is False
        assert record["ipaddr"] == "127.0.0.1"


def endings(records: Records, cache: LocalCache) -> tuple[Endings, Accounting]:
    accounting = Accounting()
    return Endings(accounting, records, cache), accounting  # type: ignore[arg-type]


def test_who_sees_an_announced_end_writes_nothing(records: Records, cache: LocalCache) -> None:
    one, _ = endings(records, cache)
    other, _ = endings(records, cache)
    with one.caused("u1") as ours:
        assert ours
        other.seen(POD)
        one.record(FRY, CLIENT, "fry-1", "node1", True)
    assert records.of("fry-1") == [("stop", True)]


def test_an_end_is_seen_once(records: Records, cache: LocalCache) -> None:
    for _ in range(2):
        endings(records, cache)[0].seen(POD)
    assert records.of("fry-1") == [("stop", False)]


def test_a_removal_that_fails_takes_its_announcement_back(records: Records, cache: LocalCache) -> None:
    found, accounting = endings(records, cache)
    try:
        with found.caused("u1"):
            raise RuntimeError
    except RuntimeError:
        found.seen(POD)
    assert records.of("fry-1") == [("stop", False)]
    assert accounting.snapshot()["desktop"]["ended"] == 1
