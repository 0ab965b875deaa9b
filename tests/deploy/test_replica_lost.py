"""One of two replicas dies, or is restarted, in the middle of fifty launches."""

from __future__ import annotations

import signal
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from devstack.service import NAMESPACE, Backends, Service
from devstack.stack import Stack
from tests.support import Api
from tests.waiting import until

USERS = 50
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"


@pytest.fixture
def pair(backends: Backends, tmp_path: Path) -> Iterator[tuple[Service, Service]]:
    overrides = {"server.thread_pool": 60}
    with (
        Service(tmp_path / "one", backends, overrides=overrides) as one,
        Service(tmp_path / "two", backends, overrides=overrides, api_key=one.api_key) as two,
    ):
        yield one, two


def desktops_of(stack: Stack, users: set[str]) -> Counter[str]:
    items = stack.cluster_admin("GET", f"{PODS}?labelSelector=type%3Dx11server")["items"]
    owners = (item["metadata"]["labels"].get("access_userid", "") for item in items)
    return Counter(owner for owner in owners if owner in users)


def with_one_retry(first: Service, second: Service, token: str) -> str:
    """The VNC password of a launch at ``first``; after any failure the client asks once more, where one is left."""
    try:
        with Api(first.url, token=token) as client:
            return str(client.result("composer/launchdesktop")["vncpassword"])
    except (requests.RequestException, AssertionError, ValueError, KeyError):
        try:
            with Api(second.url, token=token, timeout=100) as client:
                return str(client.result("composer/launchdesktop")["vncpassword"])
        except requests.RequestException as error:
            raise AssertionError(f"the replica that was left alone failed:\n{second.log_tail()}") from error


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "restarted"])
def test_every_client_that_retries_once_gets_its_one_desktop(
    pair: tuple[Service, Service], stack: Stack, end: signal.Signals
) -> None:
    one, two = pair
    tokens: dict[str, str] = {}
    for _ in range(USERS):
        with Api(two.url) as client:
            client.login()
            assert client.userid is not None
            assert client.token is not None
            tokens[client.userid] = client.token
    users = set(tokens)
    assert len(users) == USERS
    begun = threading.Barrier(USERS + 1)

    def launch(number: int, token: str) -> str:
        begun.wait(60)
        return with_one_retry(one if number % 2 else two, two, token)

    with ThreadPoolExecutor(USERS) as pool:
        waiting = [pool.submit(launch, number, token) for number, token in enumerate(tokens.values())]
        begun.wait(60)
        until(lambda: desktops_of(stack, users))  # launches are under way, most are not done
        process = one.process
        assert process is not None
        process.send_signal(end)
        passwords = [future.result(120) for future in waiting]
    process.wait(30)
    assert len(set(passwords)) == USERS
    assert desktops_of(stack, users) == Counter(dict.fromkeys(users, 1))
    _remove_all(two, tokens.values())


def _remove_all(service: Service, tokens: Iterable[str]) -> None:
    def log_out(token: str) -> None:
        with Api(service.url, token=token) as client:
            client.post("auth/logout")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(log_out, tokens))
