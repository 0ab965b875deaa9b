"""A first launch of somebody whose home is a claim: each call on the claim going wrong in every way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from devstack.service import Backends, Service

from ..od.orchestrator.support import CLAIMS, ClusterAdmin
from ..support import Api
from .conftest import PATIENT
from .support import LAUNCH, PASSING, TROUBLES, Call, Trouble, ask, one_desktop, strike, struck

TEMPLATE: dict[str, Any] = {
    "metadata": {"name": "{{ provider }}-{{ userid }}"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}
HOMES = {
    **PATIENT,
    "desktop.homedirectorytype": "persistentVolumeClaim",
    "desktop.persistentvolumeclaim": TEMPLATE,
    "desktop.removepersistentvolumeclaim": True,
}
GET = Call("get", "persistentvolumeclaims")
LIST = Call("list", "persistentvolumeclaims")
CREATE = Call("create", "persistentvolumeclaims")


@pytest.fixture(scope="module")
def keeping(service: Service, backends: Backends, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A pyos that keeps homes on claims."""
    with Service(
        tmp_path_factory.mktemp("keeping-pyos"), backends, overrides=HOMES, api_key=service.api_key
    ) as running:
        yield running


@pytest.fixture
def owner(new_user: Callable[..., Api], keeping: Service) -> Iterator[Api]:
    """Somebody logged in there, and logged out there: the claim goes with the desktop."""
    api = new_user(keeping)
    yield api
    api.post("auth/logout").raise_for_status()


def claims_of(admin: ClusterAdmin, userid: str) -> list[dict[str, Any]]:
    return list(admin.api("GET", f"{CLAIMS}?labelSelector=access_userid={userid}")["items"])


def test_these_are_the_calls_of_a_launch_with_a_claim(owner: Api, admin: ClusterAdmin) -> None:
    admin.forget_requests()
    assert ask(owner, LAUNCH).good
    verbs = {seen["verb"] for seen in admin.requests_of("persistentvolumeclaims")}
    assert verbs - {"watch"} == {call.verb for call in (GET, LIST, CREATE)}
    assert len(claims_of(admin, owner.userid or "")) == 1


@pytest.mark.parametrize("trouble", TROUBLES, ids=str)
@pytest.mark.parametrize("call", [GET, LIST, CREATE], ids=str)
def test_a_call_on_the_claim_that_goes_wrong_is_got_over_or_refused_and_makes_no_second_home(
    owner: Api, admin: ClusterAdmin, call: Call, trouble: Trouble
) -> None:
    strike(admin, call, trouble)
    first = ask(owner, LAUNCH)
    assert struck(admin)
    if trouble in PASSING:
        assert first.good, first
    admin.no_faults()
    second = ask(owner, LAUNCH)
    assert second.good, second
    one_desktop(admin, owner.userid or "", [first, second])
    assert len(claims_of(admin, owner.userid or "")) == 1
