"""A replica is told to stop while a launch takes longer than it may still serve."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from devstack.service import Service
from devstack.stack import Stack
from tests.od.orchestrator.support import ClusterAdmin
from tests.support import Api
from tests.waiting import until

SHUTDOWN_SECONDS = 1


@pytest.fixture
def admin(stack: Stack) -> Iterator[ClusterAdmin]:
    administrator = ClusterAdmin(stack)
    yield administrator
    administrator.reset()


def test_a_launch_that_is_cut_off_leaves_its_desktop_to_the_next_replica(
    own_service: Callable[..., Service], admin: ClusterAdmin
) -> None:
    common = {"server.shutdown_timeout": SHUTDOWN_SECONDS}
    stopped = own_service(common)
    other = own_service(common, api_key=stopped.api_key)
    process = stopped.process
    assert process is not None
    with Api(stopped.url) as client, ThreadPoolExecutor(1) as pool:
        client.login()
        userid = client.userid or ""
        admin.behave(labels={"access_userid": userid}, failure="ImagePullBackOff")
        launch = pool.submit(client.post, "composer/launchdesktop")
        (pod,) = until(lambda: admin.pods(userid))
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert "requests that did not finish in time were cut off" in stopped.log_path.read_text()
        with pytest.raises(requests.RequestException):
            launch.result(30)
        (left,) = admin.pods(userid)
        assert left["metadata"]["uid"] == pod["metadata"]["uid"]
        assert "deletionTimestamp" not in left["metadata"]
        admin.no_faults()
        with Api(other.url, token=client.token) as again:
            assert again.result("composer/launchdesktop")["vncpassword"]
            (joined,) = admin.pods(userid)
            assert joined["metadata"]["uid"] == pod["metadata"]["uid"]
            again.post("auth/logout")
