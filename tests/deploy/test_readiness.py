"""``/API/readyz``: starting, ready, degraded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml

from devstack.service import Backends, Service, free_port
from oc.od.health import SILENT_SECONDS, readiness
from oc.od.services import ODServices
from tests.support import Api
from tests.waiting import until


def services(age: float | None, *, mongodb: bool = True, memcached: bool = True) -> ODServices:
    parts = SimpleNamespace(
        orchestrator=SimpleNamespace(watch_age=age),
        datastore=SimpleNamespace(available=mongodb),
        sharecache=SimpleNamespace(available=memcached),
    )
    return cast(ODServices, parts)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (services(None), (False, "starting: kubernetes")),
        (services(None, mongodb=False), (False, "starting: kubernetes")),
        (services(0.0), (True, "ready")),
        (services(SILENT_SECONDS - 1), (True, "ready")),
        (services(SILENT_SECONDS + 1), (True, "degraded: kubernetes")),
        (services(1.0, mongodb=False), (True, "degraded: mongodb")),
        (services(1.0, mongodb=False, memcached=False), (True, "degraded: mongodb, memcached")),
    ],
)
def test_a_missing_part_is_named_and_only_a_start_keeps_requests_away(
    state: ODServices, expected: tuple[bool, str]
) -> None:
    assert readiness(state) == expected


def test_before_anything_is_built_a_process_is_starting() -> None:
    assert readiness(ODServices()) == (False, "starting: kubernetes")


def test_a_running_service_is_ready_for_anybody_who_asks(api: Api) -> None:
    answer = until(lambda: found if (found := api.get("readyz")).ok else None)
    assert answer.text == "ready\n"
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert answer.headers["Cache-Control"] == "no-store"


def test_without_the_cluster_a_process_lives_but_gets_no_requests(backends: Backends, tmp_path: Path) -> None:
    document = yaml.safe_load(backends.kubeconfig.read_text())
    document["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{free_port()}"
    nowhere = tmp_path / "kubeconfig"
    nowhere.write_text(yaml.safe_dump(document))
    with Service(tmp_path / "pyos", replace(backends, kubeconfig=nowhere)) as service, Api(service.url) as client:
        answer = client.get("readyz")
        assert (answer.status_code, answer.text) == (503, "starting: kubernetes\n")
        assert client.get("healthz").text == "OK"


def test_a_part_that_is_away_leaves_a_replica_in_service(own_service: Callable[..., Service]) -> None:
    service = own_service({"memcacheserver": "127.0.0.1", "memcacheport": free_port()})
    with Api(service.url) as client:
        client.login()
        client.result("composer/launchdesktop")  # its progress texts have nowhere to go

        def told() -> Any:
            answer = client.get("readyz")
            return answer if "memcached" in answer.text else None

        answer = until(told)
        assert (answer.status_code, answer.text) == (200, "degraded: memcached\n")
        client.post("auth/logout")
