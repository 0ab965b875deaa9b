"""What ``accounting/metrics?format=prometheus`` tells beside the documented counters."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

import controllers
from oc.errors import BanAuthIPError
from oc.od.accounting import Accounting
from oc.od.metrics import OTHER, Metrics
from oc.web.lanes import Lane
from tests.support import Api

from .harness import RecordingBans, make_services, serving


def families(text: bytes | str) -> dict[str, Metric]:
    decoded = text.decode() if isinstance(text, bytes) else text
    return {family.name: family for family in text_string_to_metric_families(decoded)}


def scrape(metrics: Metrics, **arguments: Any) -> dict[str, Metric]:
    given = {"replica": "pod-1", "counters": {}, "lanes": {}, "watch_age": None, **arguments}
    return families(metrics.text(**given))


def value(family: Metric, suffix: str = "", **labels: str) -> float:
    (found,) = [
        sample.value
        for sample in family.samples
        if sample.name == family.name + suffix and labels.items() <= sample.labels.items()
    ]
    return float(found)


def test_every_sample_names_the_replica():
    metrics = Metrics()
    metrics.login("planet", "success")
    metrics.kubernetes_call("list", "pods", 200, 0.01)
    found = scrape(metrics, replica='pod "7"\\\n', counters={"login": {"success": 1}}, watch_age=1.5)
    labels = [sample.labels for family in found.values() for sample in family.samples]
    assert len(labels) > 20
    assert {one["replica"] for one in labels} == {'pod "7"\\\n'}


def test_the_documented_counters_keep_their_names():
    accounting = Accounting()
    accounting.increment("desktop", "new", 3)
    found = scrape(accounting.metrics, counters=accounting.snapshot())
    assert value(found["pyos_desktop_total"], desktop="new") == 3


def test_a_phase_is_measured_also_when_it_fails():
    clock = iter((10.0, 12.5, 20.0, 20.2))
    metrics = Metrics(clock=lambda: next(clock))
    with metrics.timing("create"):
        pass
    with pytest.raises(ZeroDivisionError), metrics.timing("create"):
        _ = 1 / 0
    found = scrape(metrics)["pyos_launch_phase_seconds"]
    assert value(found, "_count", phase="create") == 2
    assert value(found, "_sum", phase="create") == pytest.approx(2.7)
    assert value(found, "_bucket", phase="create", le="0.25") == 1


def test_phases_nobody_measured_show_a_zero():
    found = scrape(Metrics())["pyos_launch_phase_seconds"]
    assert {sample.labels["phase"] for sample in found.samples} == {"find", "create", "ready", "resume", "total"}


def test_logins_are_counted_by_configured_provider_and_outcome():
    metrics = Metrics()
    metrics.know_providers(["planet", "anonymous"])
    for provider, outcome in (("planet", "success"), ("planet", "refused"), ("made-up", "refused"), (None, "failed")):
        metrics.login(provider, outcome)
    found = scrape(metrics)["pyos_login_outcomes"]
    assert value(found, "_total", provider="planet", outcome="success") == 1
    assert value(found, "_total", provider="planet", outcome="refused") == 1
    assert value(found, "_total", provider=OTHER, outcome="refused") == 1
    assert value(found, "_total", provider=OTHER, outcome="failed") == 1


@settings(max_examples=25)
@given(drawn=st.lists(st.text(max_size=40), max_size=20))
def test_names_from_outside_make_no_series(drawn):
    names = [*(f"name{number}" for number in range(100)), *drawn]
    metrics = Metrics()
    for name in names:
        metrics.login(name, name)
        metrics.kubernetes_call(name, name, 200, 0.1)
        metrics.launch_phase(name, 1)
        metrics.refused(name)
    found = scrape(metrics)
    assert {sample.labels["provider"] for sample in found["pyos_login_outcomes"].samples} == {OTHER}
    calls = found["pyos_kubernetes_request_seconds"].samples
    assert len({sample.labels["resource"] for sample in calls}) <= 65
    assert {sample.labels["verb"] for sample in calls} == {OTHER} | (
        {sample.labels["verb"] for sample in calls} & set(names)
    )


def test_lanes_show_who_is_inside():
    lane = Lane("launch", 4, 8)
    with lane.enter():
        found = scrape(Metrics(), lanes={"launch": lane})["pyos_lane_places"]
    states = {sample.labels["state"]: sample.value for sample in found.samples}
    assert states == {"inside": 1, "waiting": 0, "size": 4, "queue": 8}


def test_a_watch_that_never_listed_has_no_age():
    assert scrape(Metrics())["pyos_watch_age_seconds"].samples == []
    assert value(scrape(Metrics(), watch_age=2.5)["pyos_watch_age_seconds"]) == 2.5


def test_requests_are_counted_by_declared_route_never_by_url():
    services = make_services(accounting=Accounting(), fail2ban=RecordingBans())
    with serving(package=controllers, services=services) as client:
        client.get("/API/healthz")
        client.get("/API/manager/desktop/some-name%2Fevil")
        client.get("/API/nothing/like/this")
        client.request("BREW", "/API/healthz")
    found = scrape(services.accounting.metrics)["pyos_http_request_seconds"]
    counted = {(sample.labels["route"], sample.labels["method"], sample.labels["code"]) for sample in found.samples}
    assert ("healthz", "GET", "200") in counted
    assert ("unmatched", "GET", "404") in counted
    assert not any("evil" in route or "like" in route for route, _, _ in counted)
    assert {method for _, method, _ in counted} <= {"GET", "other"}


def test_requests_refused_for_a_ban_are_counted():
    bans = RecordingBans(addresses={"127.0.0.1"})
    services = make_services(accounting=Accounting(), fail2ban=bans)
    with serving(package=controllers, services=services) as client:
        answer = client.post("/API/composer/listcontainer", {})
    assert answer.message == BanAuthIPError.default_message
    found = scrape(services.accounting.metrics)["pyos_ban_refusals"]
    assert value(found, "_total", reason="refused_address") == 1


def test_without_a_cluster_the_scrape_still_answers():
    services = make_services(accounting=Accounting(), fail2ban=RecordingBans())
    with serving(package=controllers, services=services) as client:
        answer = client.get("/API/accounting/metrics?format=prometheus")
    assert answer.status == 200
    assert "pyos_lane_places" in families(answer.body)


def test_the_watch_age_is_read_at_the_scrape():
    services = make_services(
        accounting=Accounting(), fail2ban=RecordingBans(), orchestrator=SimpleNamespace(watch_age=7.25)
    )
    with serving(package=controllers, services=services) as client:
        answer = client.get("/API/accounting/metrics?format=prometheus")
    assert value(families(answer.body)["pyos_watch_age_seconds"]) == 7.25


def test_a_whole_session_shows_in_the_scrape(api: Api):
    api.login()
    api.result("composer/launchdesktop", {})
    api.result("auth/logout")
    answer = api.get("accounting/metrics?format=prometheus", token=None)
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    found = families(answer.text)
    assert value(found["pyos_launch_phase_seconds"], "_count", phase="create") >= 1
    assert value(found["pyos_launch_phase_seconds"], "_count", phase="ready") >= 1
    assert value(found["pyos_login_outcomes"], "_total", provider="anonymous", outcome="success") >= 1
    calls = found["pyos_kubernetes_request_seconds"].samples
    assert {("create", "pods", "201"), ("delete", "pods", "200")} <= {
        (sample.labels["verb"], sample.labels["resource"], sample.labels["code"]) for sample in calls
    }
    assert found["pyos_watch_age_seconds"].samples


def test_refused_parameters_are_counted():
    services = make_services(accounting=Accounting(), fail2ban=RecordingBans())
    with serving(package=controllers, services=services) as client:
        client.request("POST", "/API/core/getkeyinfo", b"{", {"Content-Type": "application/json"})
        client.get("/API/nowhere")
    assert services.accounting.snapshot()["api"]["bad_parameters"] == 1
