"""A replica is told to stop while a launch takes longer than it may still serve."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from devstack.service import Backends, Service
from devstack.stack import Stack
from tests.od.orchestrator.support import ClusterAdmin
from tests.support import Api
from tests.waiting import until

from .support import ROOT

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


@pytest.mark.parametrize("name", ["SIGTERM", "SIGQUIT", "SIGINT"])
def test_a_replica_that_is_stopped_while_it_boots_ends_with_status_0(
    backends: Backends, tmp_path: Path, name: str
) -> None:
    service = Service(tmp_path, backends)
    service.start(wait=False)
    process = service.process
    assert process is not None
    try:
        until(lambda: "desktop.userpasswd" in service.log_tail())  # the configuration has been read, no port is open
        process.send_signal(getattr(signal, name))
        assert process.wait(30) == 0
        assert f"{name} received" in service.log_tail()
    finally:
        service.stop()


def test_a_replica_that_boots_is_not_ended_by_a_reload(backends: Backends, tmp_path: Path) -> None:
    service = Service(tmp_path, backends)
    service.start(wait=False)
    process = service.process
    assert process is not None
    try:
        until(lambda: "desktop.userpasswd" in service.log_tail())
        process.send_signal(signal.SIGHUP)
        service.wait_healthy()
    finally:
        assert service.stop() == 0


def test_the_first_process_of_a_container_is_stopped_while_it_boots(backends: Backends, tmp_path: Path) -> None:
    """The kernel ends it only by signals it handles."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("makes a process the first of a namespace: needs root and unshare")
    service = Service(tmp_path / "pyos", backends)
    service.start()
    service.stop()
    log = tmp_path / "log"
    command = ["unshare", "--pid", "--fork", "--kill-child", sys.executable, str(ROOT / "od.py")]
    environment = {
        **os.environ,
        "OD_CONFIG_PATH": str(tmp_path / "pyos" / "od.config"), "KUBECONFIG": str(backends.kubeconfig),
        "MONGODB_URL": backends.mongodb_url, "MONGODB_PARAM": backends.mongodb_param,
    }  # fmt: skip
    with log.open("wb") as output:
        outer = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        until(lambda: "desktop.userpasswd" in log.read_text())
        (inner,) = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()
        os.kill(int(inner), signal.SIGTERM)
        assert outer.wait(30) == 0
        assert "SIGTERM received" in log.read_text()
    finally:
        outer.kill()
        outer.wait()
