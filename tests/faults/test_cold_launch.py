"""A first launch, with each of its calls to the cluster going wrong in every way: one desktop or a clear refusal."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.waiting import eventually

from ..od.orchestrator.support import ClusterAdmin
from ..support import Api
from .support import (
    AWAY,
    CONFLICT,
    LAUNCH,
    PASSING,
    TROUBLES,
    UNANSWERED,
    UNHEARD,
    Answer,
    Call,
    Trouble,
    ask,
    one_desktop,
    strike,
    struck,
)

LIST_PODS = Call("list", "pods")
LIST_SECRETS = Call("list", "secrets")
CREATE_SECRET = Call("create", "secrets")
CREATE_POD = Call("create", "pods")
LIST_SECRETS_AGAIN = Call("list", "secrets", before=1)
EXEC = Call("get", "pods/exec")
CALLS = (LIST_PODS, LIST_SECRETS, CREATE_SECRET, CREATE_POD, LIST_SECRETS_AGAIN, EXEC)

MENDED = {(call, trouble) for call in CALLS for trouble in PASSING} | {
    (CREATE_SECRET, CONFLICT),
    (CREATE_POD, CONFLICT),
    *((EXEC, trouble) for trouble in TROUBLES),
}
"""Troubles of one call that a launch gets over; the others are refused at once, the next click succeeds."""


def stop_text(api: Api) -> str:
    return api.post("core/getmessageinfo", headers={"Accept": "text/plain"}).text


def check_after(admin: ClusterAdmin, user: Api, first: Answer) -> None:
    """However the first launch ended: no second desktop, the progress is over, the next launch succeeds."""
    userid = user.userid or ""
    assert "stopinfo" in stop_text(user)
    if not first.good:
        assert eventually(lambda: len(admin.pods(userid)) <= 1)
    admin.no_faults()
    second = ask(user, LAUNCH)
    assert second.good, second.message
    one_desktop(admin, userid, [first, second])


@pytest.mark.parametrize("trouble", TROUBLES, ids=str)
@pytest.mark.parametrize("call", CALLS, ids=str)
def test_a_call_that_goes_wrong_once_is_got_over_or_refused_clearly(
    user: Api, admin: ClusterAdmin, call: Call, trouble: Trouble
) -> None:
    strike(admin, call, trouble)
    first = ask(user, LAUNCH)
    assert struck(admin)
    assert first.good is ((call, trouble) in MENDED), first
    check_after(admin, user, first)


@pytest.mark.parametrize("trouble", [CONFLICT, AWAY, UNHEARD], ids=str)
@pytest.mark.parametrize("call", [call for call in CALLS if call is not EXEC], ids=str)
def test_a_call_that_always_goes_wrong_ends_in_a_clear_refusal_and_no_pod(
    hasty_user: Api, admin: ClusterAdmin, call: Call, trouble: Trouble
) -> None:
    strike(admin, call, trouble, count=None)
    first = ask(hasty_user, LAUNCH)
    assert not first.good
    assert first.status in (500, 503)
    assert eventually(lambda: not admin.pods(hasty_user.userid or "")), "a pod stays behind"
    check_after(admin, hasty_user, first)


@pytest.mark.parametrize("call", [LIST_SECRETS, CREATE_SECRET, CREATE_POD, LIST_SECRETS_AGAIN], ids=str)
@pytest.mark.parametrize("trouble", [UNANSWERED, UNHEARD], ids=str)
def test_a_call_that_takes_longer_than_the_launch_may_last_ends_it_in_time(
    hasty_user: Api, admin: ClusterAdmin, call: Call, trouble: Trouble
) -> None:
    """The call may yet be carried out, after the launch was given up."""
    rule = {"latency_s": 3.0} if trouble is UNANSWERED else {"latency_s": 3.0, "drop": True}
    strike(admin, call, Trouble("late", rule))
    first = ask(hasty_user, LAUNCH)
    assert not first.good
    check_after(admin, hasty_user, first)
    if call is CREATE_POD and trouble is UNANSWERED:
        assert eventually(lambda: created(admin) >= 1)
        one_desktop(admin, hasty_user.userid or "", [ask(hasty_user, LAUNCH)])


def created(admin: ClusterAdmin) -> int:
    """Pods the cluster has been asked to create, successfully or not."""
    return sum(seen["verb"] == "create" for seen in admin.requests_of("pods"))


def test_a_launch_before_which_the_login_was_lost_says_to_log_in_again(
    user: Api, admin: ClusterAdmin, new_user: Callable[..., Api]
) -> None:
    for secret in admin.secrets(user.userid or ""):
        admin.api("DELETE", f"/api/v1/namespaces/abcdesktop/secrets/{secret['metadata']['name']}", {})
    refused = ask(user, LAUNCH)
    assert refused.status == 500
    assert "log in again" in refused.message
    assert admin.pods(user.userid or "") == []
