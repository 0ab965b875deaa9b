"""A login whose secrets cannot be written at once: a token means that a desktop can start."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from devstack.service import Service

from ..od.orchestrator.support import ClusterAdmin
from ..support import Api
from .support import (
    AWAY,
    CONFLICT,
    LAUNCH,
    PASSING,
    TROUBLES,
    UNHEARD,
    Answer,
    Call,
    Trouble,
    ask,
    read,
    strike,
    struck,
)

CREATE = Call("create", "secrets")
LOGIN = {"manager": None, "provider": "anonymous"}
NEEDED = {"ldif", "localaccount"}


@pytest.fixture
def visitor(service: Service, admin: ClusterAdmin) -> Iterator[Api]:
    with Api(service.url, service.api_key) as api:
        yield api
        admin.no_faults()
        if api.token:
            api.post("auth/logout").raise_for_status()


def log_in(visitor: Api) -> Answer:
    response = visitor.post("auth/auth", LOGIN)
    answer = read(response)
    if answer.good:
        visitor.token = answer.result["jwt_user_token"]
        visitor.userid = answer.result["userid"]
    return answer


@pytest.mark.parametrize("trouble", TROUBLES, ids=str)
def test_a_write_that_goes_wrong_once_is_made_again_or_the_login_is_refused(
    visitor: Api, admin: ClusterAdmin, trouble: Trouble
) -> None:
    strike(admin, CREATE, trouble)
    answer = log_in(visitor)
    assert struck(admin)
    if trouble in (*PASSING, CONFLICT):
        assert answer.good, answer
    if answer.good:
        found = {one["metadata"]["labels"]["access_type"] for one in admin.secrets(visitor.userid or "")}
        assert found >= NEEDED
        assert ask(visitor, LAUNCH).good


@pytest.mark.parametrize("trouble", [trouble for trouble in TROUBLES if trouble.name in ("404", "410")], ids=str)
def test_a_write_that_is_refused_refuses_the_login(visitor: Api, admin: ClusterAdmin, trouble: Trouble) -> None:
    strike(admin, CREATE, trouble, count=None)
    answer = log_in(visitor)
    assert answer.status == 401
    admin.no_faults()
    assert log_in(visitor).good


@pytest.mark.parametrize("trouble", [AWAY, UNHEARD], ids=str)
def test_a_cluster_that_is_away_refuses_the_login_and_is_not_hammered(
    visitor: Api, admin: ClusterAdmin, trouble: Trouble
) -> None:
    admin.forget_requests()
    began = time.monotonic()
    strike(admin, CREATE, trouble, count=None)
    strike(admin, Call("get", "secrets"), trouble, count=None)
    answer = log_in(visitor)
    assert answer.status == 401
    calls = len(admin.requests_of("secrets"))
    assert calls <= 60 + 60 * (time.monotonic() - began), f"{calls} calls"
    admin.no_faults()
    assert log_in(visitor).good


def test_a_name_that_is_there_and_not_there_is_not_asked_for_in_a_busy_loop(visitor: Api, admin: ClusterAdmin) -> None:
    """An API server whose cache lags answers like this for a moment: 409 to the creation, 404 to the reading."""
    admin.forget_requests()
    admin.fault(verb="create", resource="secrets", status=409, count=6)
    assert log_in(visitor).good
    assert struck(admin)
    creations = [seen for seen in admin.requests_of("secrets") if seen["verb"] == "create"]
    times = sorted(seen["time"] for seen in creations)
    assert times[-1] - times[0] > 0.05, "the refused creations were sent again without a pause"
