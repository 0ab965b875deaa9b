"""The process: commands, exit statuses, signals, and running without MongoDB or memcached."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from devstack.service import ROOT, Backends, Service, free_port, write_configuration
from tests.support import Api

STATUS_FATAL = 255
STATUS_UNUSABLE_FILE = 1
Start = Callable[..., Service]


def run(*arguments: str, config: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("MONGODB_", "MEMCACHE", "OD_"))}
    if config is not None:
        clean["OD_CONFIG_PATH"] = str(config)
    return subprocess.run(
        [sys.executable, str(ROOT / "od.py"), *arguments],
        cwd=ROOT,
        env={**clean, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def written(service: Service, **changes: Any) -> Path:
    """The configuration of a service that is not started."""
    service.directory.mkdir(parents=True, exist_ok=True)
    service.port = service.port or free_port()
    path = service.directory / "od.config"
    write_configuration(path, {**service.values(), **changes})
    return path


@pytest.fixture
def unstarted(backends: Backends, tmp_path: Path) -> Service:
    return Service(tmp_path / "pyos", backends)


def test_a_usable_configuration_passes_its_check(unstarted: Service):
    done = run("--check-config", str(written(unstarted)))
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_broken_configuration_fails_its_check_and_names_the_line(tmp_path: Path):
    path = tmp_path / "od.config"
    path.write_text("[global]\nwebsocketrouting = 'nowhere'\n")
    done = run("--check-config", str(path))
    assert done.returncode != 0
    assert "websocketrouting" in done.stdout + done.stderr


def test_the_effective_configuration_is_printed_without_secrets(unstarted: Service):
    path = written(unstarted)
    done = run("--print-config", str(path))
    assert done.returncode == 0, done.stderr
    assert "server.socket_port" in done.stdout
    assert unstarted.api_key not in done.stdout


def test_a_missing_configuration_ends_the_process_with_255(tmp_path: Path):
    done = run(config=tmp_path / "absent.config")
    assert done.returncode == STATUS_FATAL
    assert "absent.config" in done.stderr


def test_every_error_of_a_configuration_is_reported_at_once(unstarted: Service):
    path = written(unstarted, websocketrouting="nowhere", trusted_proxy_cidr=["10.0.0.0/99"])
    done = run(config=path)
    assert done.returncode == STATUS_FATAL
    assert "websocketrouting" in done.stderr
    assert "trusted_proxy_cidr" in done.stderr


@pytest.mark.parametrize("key", ["mongodburl", "memcacheserver"])
def test_a_host_name_that_does_not_exist_ends_the_process_with_255(unstarted: Service, key):
    value = "mongodb://no-such-host.invalid" if key == "mongodburl" else "no-such-host.invalid"
    done = run(config=written(unstarted, **{key: value}), KUBECONFIG=str(unstarted.backends.kubeconfig))
    said = done.stdout + done.stderr
    if "could not be resolved" in said:
        pytest.skip("the resolver of this machine does not tell unknown names from its own failure")
    assert done.returncode == STATUS_FATAL
    assert "cannot resolve the host name" in said
    assert "no-such-host.invalid" in said


def test_an_unconfigured_cluster_ends_the_process_with_255(unstarted: Service, tmp_path: Path):
    path = written(unstarted, memcacheserver="127.0.0.1", mongodburl="mongodb://127.0.0.1:1")
    done = run(config=path, KUBECONFIG=str(tmp_path / "absent"), HOME=str(tmp_path))
    assert done.returncode == STATUS_FATAL
    assert "Kubernetes" in done.stderr + done.stdout


def test_a_missing_key_file_is_named_and_ends_the_process(unstarted: Service, tmp_path: Path):
    values = {
        "exp": 360,
        "jwtuserprivatekeyfile": str(tmp_path / "absent-key.pem"),
        "jwtuserpublickeyfile": str(tmp_path / "absent-key.pub"),
    }
    path = written(unstarted, jwt_token_user=values, mongodburl="mongodb://127.0.0.1:1", memcacheserver="127.0.0.1")
    done = run(config=path, KUBECONFIG=str(unstarted.backends.kubeconfig))
    assert done.returncode == STATUS_UNUSABLE_FILE
    assert "absent-key.pem" in done.stderr + done.stdout
    assert "Traceback" not in done.stderr + done.stdout


def test_every_unusable_file_is_named_at_once(unstarted: Service, tmp_path: Path):
    values = {
        "exp": 360,
        "jwtuserprivatekeyfile": str(tmp_path / "a.pem"),
        "jwtuserpublickeyfile": str(tmp_path / "b.pem"),
    }
    (tmp_path / "b.pem").write_text("not a key")
    path = written(unstarted, jwt_token_user=values, template_passwd_filename=str(tmp_path / "no-passwd"))
    done = run(config=path, KUBECONFIG=str(unstarted.backends.kubeconfig))
    assert done.returncode == STATUS_UNUSABLE_FILE
    output = done.stderr + done.stdout
    for name in ("a.pem", "b.pem", "no-passwd"):
        assert name in output
    assert "Traceback" not in output


def test_a_broken_logging_configuration_does_not_stop_the_boot(own_service: Start):
    service = own_service({"logging": {"version": 1, "root": {"handlers": ["absent"]}}})
    with Api(service.url) as api:
        assert api.get("healthz").text == "OK"
    assert "the logging configuration cannot be applied" in service.log_path.read_text()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGQUIT", "SIGINT"])
def test_a_signal_stops_gracefully_with_status_0(own_service: Start, name):
    service = own_service()
    assert service.process is not None
    service.process.send_signal(signal.Signals[name])
    assert service.process.wait(20) == 0
    assert f"{name} received, stopping" in service.log_path.read_text()


def test_a_running_request_finishes_before_the_stop(own_service: Start):
    service = own_service()
    process = service.process
    assert process is not None
    with Api(service.url, service.api_key) as api, ThreadPoolExecutor(1) as pool:
        api.login()
        request = pool.submit(api.post, "composer/launchdesktop", {})
        seen = threading.Event()
        while not (seen.is_set() or "/composer/launchdesktop" in service.log_path.read_text()):
            seen.wait(0.02)
        process.send_signal(signal.SIGTERM)
        answer = request.result(30)
        assert answer.status_code == 200
        assert answer.json()["status"] == 200
    assert process.wait(20) == 0


def test_without_mongodb_and_memcached_it_boots_and_says_what_is_missing(own_service: Start):
    away = f"mongodb://127.0.0.1:{free_port()}"
    service = own_service(
        {"memcacheserver": "127.0.0.1", "memcacheport": free_port()}, environment={"MONGODB_URL": away}
    )
    with Api(service.url, service.api_key) as api:
        assert api.get("healthz").text == "OK"
        assert api.login()["jwt_user_token"]
        assert api.post("user/whoami").json()["userid"] == api.userid
        refused = api.post("store/get", {"key": "dock"})
        assert (refused.status_code, refused.json()["status"]) == (503, 503)
        assert "127.0.0.1" not in refused.text
        assert api.post("core/getmessageinfo").json()["message"] is None
        report = api.manager("GET", "healthz?verbose").json()
        states = {name: state["ok"] for name, state in report["dependencies"].items()}
        assert states == {"mongodb": False, "memcached": False, "kubernetes": True}
        assert report["ready"] is False


def test_health_answers_while_mongodb_is_away(own_service: Start):
    service = own_service(environment={"MONGODB_URL": f"mongodb://127.0.0.1:{free_port()}"})
    with Api(service.url, service.api_key, timeout=5) as api, ThreadPoolExecutor(20) as pool:
        api.login()
        waiting = [pool.submit(api.post, "store/get", {"key": "dock"}) for _ in range(20)]
        for _ in range(10):
            assert api.get("healthz").text == "OK"
        assert {answer.result().status_code for answer in waiting} == {503}


def test_the_version_may_be_kept_private(own_service: Start):
    service = own_service({"version_public": False})
    with Api(service.url) as api:
        assert api.post("version").json() == {"date": None, "commit": None, "version": None}


def test_keys_of_the_web_server_are_accepted_and_cannot_break_it(own_service: Start):
    service = own_service(
        {
            "tools.log_full.on": True,
            "tools.no_such_tool.on": True,
            "engine.autoreload.on": True,
            "environment": "production",
            "log.screen": True,
            "request.show_tracebacks": True,
            "server.socket_timeout": 30,
            "server.default.ipaddr": "127.0.0.1",
        }
    )
    with Api(service.url, service.api_key) as api:
        assert api.get("healthz").text == "OK"
        assert api.post("auth/getauthconfig").status_code == 200
        assert api.get("manager/nothing").json()["status"] == 403


def test_port_0_takes_a_free_port_and_names_it(unstarted: Service):
    path = written(unstarted)
    text = path.read_text().replace(f"server.socket_port = {unstarted.port}", "server.socket_port = 0")
    assert "socket_port = 0" in text
    path.write_text(text)
    environment = {"OD_CONFIG_PATH": str(path), "KUBECONFIG": str(unstarted.backends.kubeconfig)}
    environment |= {"MONGODB_URL": unstarted.backends.mongodb_url}
    process = subprocess.Popen(
        [sys.executable, "-u", str(ROOT / "od.py")],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout as lines:
        port = next(
            (
                int(found.group(1))
                for found in (re.search(r"serving on \S+ port (\d+) ", line) for line in lines)
                if found
            ),
            0,
        )
        assert port > 0
        with Api(f"http://127.0.0.1:{port}") as api:
            assert api.get("healthz").text == "OK"
        process.send_signal(signal.SIGTERM)
        lines.read()
    assert process.wait(20) == 0
