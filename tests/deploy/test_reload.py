"""SIGHUP: the configuration is read again; what can change safely does, an unusable file changes nothing."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from devstack.service import Service, write_configuration
from oc.od.reloading import Reloader
from oc.od.services import ODServices
from oc.od.settings import ConfigurationError, Settings, load_settings
from oc.od.settings.reader import read_file
from tests.support import Api
from tests.waiting import until

from .support import ROOT


class File:
    """An od.config and the services of a process that was started with it."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "od.config"
        self.values: dict[str, Any] = {**read_file(ROOT / "od.config").values, "logging": None}
        self.write()
        self.started = self.load()
        self.services = SimpleNamespace(settings=self.started)
        self.reloader = Reloader(cast(ODServices, self.services), self.load)

    def load(self) -> Settings:
        return load_settings(self.path, {})

    def write(self, **changes: Any) -> None:
        self.values.update({name.replace("__", "."): value for name, value in changes.items()})
        write_configuration(self.path, {key: value for key, value in self.values.items() if value is not None})


@pytest.fixture
def file(tmp_path: Path) -> File:
    return File(tmp_path)


def test_what_pages_are_told_changes_at_once(file: File) -> None:
    file.write(welcomeinfo={"text": "maintenance tonight"})
    assert file.reloader.reload() is True
    assert file.services.settings.front.welcomeinfo == {"text": "maintenance tonight"}
    assert file.services.settings.auth is file.started.auth


def test_what_is_built_at_the_start_waits_and_is_named(file: File, caplog: pytest.LogCaptureFixture) -> None:
    file.write(namespace="elsewhere", websocketrouting="host")
    assert file.reloader.reload() is True
    assert file.services.settings.kubernetes is file.started.kubernetes
    assert file.services.settings.http is file.started.http
    assert "take effect at the next start: http, kubernetes" in caplog.text


def test_the_same_file_changes_nothing(file: File, caplog: pytest.LogCaptureFixture) -> None:
    assert file.reloader.reload() is True
    assert file.services.settings == file.started
    assert "applied: no change" in caplog.text
    assert "next start" not in caplog.text


@pytest.mark.parametrize("content", ["[global]\nwebsocketrouting: 'nowhere'\n", "no configuration", ""])
def test_an_unusable_file_changes_nothing(file: File, content: str, caplog: pytest.LogCaptureFixture) -> None:
    file.path.write_text(content)
    assert file.reloader.reload() is False
    assert file.services.settings is file.started
    assert "the old one stays in force" in caplog.text


def test_a_missing_file_changes_nothing(file: File) -> None:
    file.path.unlink()
    with pytest.raises(ConfigurationError):
        file.load()
    assert file.reloader.reload() is False
    assert file.services.settings is file.started


def test_a_broken_file_may_be_read_again_and_again(file: File, caplog: pytest.LogCaptureFixture) -> None:
    file.path.write_text("broken")
    assert [file.reloader.reload() for _ in range(3)] == [False, False, False]
    assert file.services.settings is file.started
    assert caplog.text.count("the old one stays in force") == 3
    file.write(welcomeinfo={"text": "mended"})
    assert file.reloader.reload() is True
    assert file.services.settings.front.welcomeinfo == {"text": "mended"}


def test_a_config_map_mounted_as_a_directory_is_followed(tmp_path: Path) -> None:
    """A kubelet makes a new directory and turns the link ``..data`` to it."""
    for number in (1, 2):
        (tmp_path / f"..{number}").mkdir()
    data = tmp_path / "..data"
    data.symlink_to("..1")
    file = File(data)
    file.reloader = Reloader(cast(ODServices, file.services), lambda: load_settings(tmp_path / "od.config", {}))
    (tmp_path / "od.config").symlink_to("..data/od.config")
    first = file.services.settings.front.welcomeinfo
    write_configuration(tmp_path / "..2" / "od.config", {**file.values, "welcomeinfo": {"text": "from the second"}})
    (tmp_path / "..new").symlink_to("..2")
    (tmp_path / "..new").rename(data)
    assert file.services.settings.front.welcomeinfo == first
    assert file.reloader.reload() is True
    assert file.services.settings.front.welcomeinfo == {"text": "from the second"}


def test_requests_go_on_while_the_configuration_is_read_again(own_service: Callable[..., Service]) -> None:
    service = own_service()
    file = service.directory / "od.config"
    values = dict(read_file(file).values)
    process = service.process
    assert process is not None
    over = threading.Event()
    texts = [f"words {number}" for number in range(5)]

    def ask() -> tuple[set[int], set[str]]:
        answers = []
        with Api(service.url) as client:
            while not over.is_set():
                answers.append(client.post("core/getkeyinfo", {"provider": "welcomeinfo"}))
        return {answer.status_code for answer in answers}, {answer.json()["id"].get("text", "") for answer in answers}

    def count() -> int:
        return service.log_path.read_text().count("configuration read again")

    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask) for _ in range(4)]
        try:
            for number, text in enumerate(texts):
                write_configuration(file, {**values, "welcomeinfo": {"text": text}})
                process.send_signal(signal.SIGHUP)
                until(lambda wanted=number: count() > wanted)
        finally:
            over.set()
        results = [future.result(60) for future in asking]
    assert all(statuses == {200} for statuses, _ in results)
    assert set().union(*(seen for _, seen in results)) & set(texts)
    assert not [line for line in service.log_path.read_text().splitlines() if "[ERROR" in line or "Traceback" in line]


def test_a_running_process_reads_its_file_again_and_serves_on(own_service: Callable[..., Service]) -> None:
    service = own_service()
    file = service.directory / "od.config"
    values = dict(read_file(file).values)
    process = service.process
    assert process is not None
    with Api(service.url) as client:

        def welcome() -> Any:
            return client.post("core/getkeyinfo", {"provider": "welcomeinfo"}).json()["id"]

        before = welcome()
        write_configuration(file, {**values, "welcomeinfo": {"text": "new words"}})
        process.send_signal(signal.SIGHUP)
        until(lambda: welcome() == {"text": "new words"})
        assert before != {"text": "new words"}
        file.write_text("broken")
        process.send_signal(signal.SIGHUP)
        until(lambda: "the old one stays in force" in service.log_path.read_text())
        assert welcome() == {"text": "new words"}
        formats = {"standard": {"format": "other words: %(message)s"}}
        write_configuration(file, {**values, "logging": {**values["logging"], "formatters": formats}})
        process.send_signal(signal.SIGHUP)
        until(lambda: "other words: configuration read again" in service.log_path.read_text())
        assert welcome() == before
    assert process.poll() is None
    assert service.stop() == 0
