"""The launcher as a program of its own, also for a user without rights."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from devstack.cluster.node.processes import LAUNCHER, WAITING, Command

NOBODY = 65534
SYSTEM_PYTHON = "/usr/bin/python3"


class Launch:
    """One run: its messages, and the process."""

    def __init__(self, program: list[str], command: Command, user: int | None) -> None:
        report, write = os.pipe()
        spec = os.memfd_create("spec", 0)
        os.write(spec, json.dumps(command.as_spec(-1)).encode())
        os.lseek(spec, 0, os.SEEK_SET)
        self.process = subprocess.Popen(
            [*program, str(spec), str(write)],
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            pass_fds=[spec, write],
            user=user,
            start_new_session=True,
            cwd="/",
        )
        os.close(write)
        os.close(spec)
        with os.fdopen(report, "rb") as file:
            self.messages: list[dict[str, Any]] = [json.loads(line) for line in file]

    @property
    def error(self) -> str:
        return next((str(message["error"]) for message in self.messages if "error" in message), "")

    @property
    def pid(self) -> int:
        return next((int(message["pid"]) for message in self.messages if "pid" in message), 0)

    def end(self) -> tuple[int, str]:
        output, _ = self.process.communicate(timeout=30)
        return self.process.returncode, output.decode()


@pytest.fixture(params=["the caller", "a user without rights"])
def launch(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A function that launches a command, as root (or whoever runs the tests) and as nobody."""
    user: int | None = None
    program = [sys.executable, "-I", "-S", str(LAUNCHER)]
    directory = Path(tempfile.mkdtemp(prefix="launcher-"))
    if request.param == "a user without rights":
        if os.geteuid() != 0:
            pytest.skip("only root can become nobody")
        if not Path(SYSTEM_PYTHON).exists():
            pytest.skip(f"{SYSTEM_PYTHON} is not there, and nobody may not read this interpreter")
        user = NOBODY
        shutil.copy(LAUNCHER, directory / "launcher.py")
        program = [SYSTEM_PYTHON, "-I", "-S", str(directory / "launcher.py")]
        directory.chmod(0o755)
    serial = iter(range(100))

    def start(*argv: str, **fields: Any) -> Launch:
        layer = directory / f"layer-{next(serial)}"
        layer.mkdir()
        if user is not None:
            os.chown(layer, user, user)
        environment = {"PATH": os.defpath, "A": "apple"}
        one = Launch(program, Command(argv=argv, environment=environment, layer=str(layer), **fields), user)
        if one.error and "exec:" not in one.error:
            one.end()
            pytest.skip(f"this machine does not allow it: {one.error}")
        return one

    yield start
    shutil.rmtree(directory)


def test_the_command_is_alone_in_a_view_of_the_host(launch: Any) -> None:
    with tempfile.TemporaryDirectory(prefix="volume-") as volume:
        Path(volume).chmod(0o777)
        (Path(volume) / "f").write_text("from the volume\n")
        script = "cat /some/where/f; echo $A $HOME; hostname; ls -d /proc/[0-9]*; echo x > /usr/new && echo written"
        binds = [(volume, "/some/where", False)]
        status, output = launch("sh", "-c", script, binds=binds, hostname="desk").end()
    assert status == 0
    lines = output.splitlines()
    assert lines[:4] == ["from the volume", "apple", "desk", "/proc/1"]
    assert lines[-1] == "written"
    assert not Path("/usr/new").exists()


def test_a_read_only_volume_cannot_be_written(launch: Any) -> None:
    with tempfile.TemporaryDirectory(prefix="volume-") as volume:
        Path(volume).chmod(0o777)
        binds = [(volume, "/v", True)]
        status, _ = launch("sh", "-c", "echo x > /v/f", binds=binds).end()
        assert status != 0
        assert list(Path(volume).iterdir()) == []


@pytest.mark.parametrize("path", ["/proc/sys/kernel/hostname", "/sys/class/net/lo/mtu"])
def test_settings_of_the_machine_cannot_be_changed(launch: Any, path: str) -> None:
    if not Path(path).exists():
        pytest.skip(f"{path} is not there")
    status, output = launch("sh", "-c", f"echo x > {path}; echo $?").end()
    assert (status, output) == (0, "2\n")


@pytest.mark.parametrize(("script", "status"), [("exit 5", 5), ("kill -9 $$; exit 6", 6), ("kill -TERM 0; exit 7", 7)])
def test_the_exit_status_is_the_commands(launch: Any, script: str, status: int) -> None:
    # In its own process namespace the first process cannot be killed from within.
    assert launch("sh", "-c", script).end()[0] == status


def test_a_command_killed_from_outside_ends_with_137(launch: Any) -> None:
    one = launch("sleep", "1000")
    os.kill(one.pid, 9)
    assert one.end()[0] == 137


def test_a_missing_command_is_reported(launch: Any) -> None:
    one = launch("/no/such")
    assert one.error == 'exec: "/no/such": stat /no/such: no such file or directory'
    one.end()
    two = launch("sh-no-such")
    assert two.error == 'exec: "sh-no-such": executable file not found in $PATH'
    two.end()
    three = launch("/etc")
    assert three.error == 'exec: "/etc": permission denied'
    three.end()


def test_a_second_command_joins_the_first_ones_world(launch: Any) -> None:
    first = launch(*WAITING, hostname="desk")
    status, output = launch("sh", "-c", "hostname; echo x > /only-here; ls -d /proc/1", join=first.pid).end()
    assert (status, output) == (0, "desk\n/proc/1\n")
    assert launch("cat", "/only-here", join=first.pid).end() == (0, "x\n")
    assert not Path("/only-here").exists()
    # The end of the first process may overtake that of the command which ended it.
    assert launch("sh", "-c", "kill -TERM 1", join=first.pid).end()[0] in (0, 137)
    assert first.end()[0] == 143


def test_when_the_launcher_is_killed_its_command_goes_too(launch: Any) -> None:
    one = launch("sleep", "1000")
    pidfd = os.pidfd_open(one.pid)
    try:
        one.process.kill()
        one.process.communicate(timeout=30)
        # The descriptor is readable when the process has ended.
        assert select.select([pidfd], [], [], 30)[0]
    finally:
        os.close(pidfd)
