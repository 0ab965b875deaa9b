"""Containers that are real processes: output, exit status, signals, mounts, isolation, exec."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from devstack.cluster.node.processes import Command, Process, StartError, start
from devstack.cluster.runtime import RuntimeRefusedError, Streams
from tests.devstack.node.bed import NAMESPACE, SERVE, Bed, bed, in_loop, real_bed

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="changing users needs root")


def _process(cluster: Bed, pod: str = "p", container: str = "main") -> Process:
    worker = next(worker for worker in cluster.node.kubelet.workers if worker.pod["metadata"]["name"] == pod)
    process = worker.containers[container].process
    assert process is not None
    return process


def _exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


@in_loop
async def test_a_container_runs_its_own_command_and_its_output_is_the_log(tmp_path: Path) -> None:
    async with real_bed(tmp_path) as cluster:
        cluster.pod(container={"command": ["sh", "-c"], "args": ["echo one; echo two; exit 3"]}, restartPolicy="Never")
        await cluster.until(lambda: cluster.status()["phase"] == "Failed")
        ended = cluster.container()["state"]["terminated"]
        assert (ended["exitCode"], ended["reason"]) == (3, "Error")
        assert await cluster.log() == "one\ntwo\n"


@in_loop
async def test_variables_are_expanded_in_the_command_and_reach_the_process(tmp_path: Path) -> None:
    async with real_bed(tmp_path) as cluster:
        environment = [{"name": "A", "value": "apple"}, {"name": "B", "value": "$(A)pie"}]
        words = ["sh", "-c", "echo $(A) $B $POD_IP $HOSTNAME"]
        reference = {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
        cluster.pod(container={"command": words, "env": [*environment, reference]}, restartPolicy="Never")
        await cluster.until(lambda: cluster.status()["phase"] == "Succeeded")
        assert await cluster.log() == f"apple applepie {cluster.status()['podIP']} p\n"


@in_loop
async def test_nothing_of_the_hosts_environment_reaches_a_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST_SECRET", "hush")
    async with real_bed(tmp_path) as cluster:
        cluster.pod(container={"command": SERVE})
        await cluster.running()
        status, output, _ = await cluster.exec("env")
        assert status == 0
        assert "HOST_SECRET" not in output


@in_loop
async def test_secrets_of_the_environment_never_stand_in_argv(tmp_path: Path) -> None:
    async with real_bed(tmp_path) as cluster:
        cluster.pod(container={"command": SERVE, "env": [{"name": "PASSWORD", "value": "hush-hush"}]})
        await cluster.running()
        process = _process(cluster)
        for pid in (process.pid, process.launcher.pid):
            assert b"hush-hush" not in Path(f"/proc/{pid}/cmdline").read_bytes()


@in_loop
async def test_a_missing_command_is_a_start_error(tmp_path: Path) -> None:
    async with real_bed(tmp_path) as cluster:
        cluster.pod(container={"command": ["/no/such"]}, restartPolicy="Never")
        await cluster.until(lambda: cluster.status()["phase"] == "Failed")
        ended = cluster.container()["state"]["terminated"]
        assert (ended["exitCode"], ended["reason"]) == (128, "StartError")
        assert ended["message"].endswith('exec: "/no/such": stat /no/such: no such file or directory: unknown')


@in_loop
async def test_term_ends_a_process_that_listens_to_it(tmp_path: Path) -> None:
    async with real_bed(tmp_path) as cluster:
        cluster.pod(container={"command": SERVE}, terminationGracePeriodSeconds=60)
        await cluster.running()
        assert await cluster.first_line() == "ready\n"
        pid = _process(cluster).pid
        cluster.delete()
        await cluster.until(lambda: cluster.get() is None)
        assert not _exists(pid)


@in_loop
async def test_kill_ends_a_process_that_ignores_term_when_the_grace_is_over(tmp_path: Path) -> None:
    async with real_bed(tmp_path) as cluster:
        cluster.pod(container={"command": ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done"]})
        await cluster.running()
        assert await cluster.first_line() == "ready\n"
        pid = _process(cluster).pid
        cluster.delete(grace=1)
        await cluster.until(lambda: cluster.status().get("phase") == "Failed" if cluster.get() else True)
        await cluster.until(lambda: cluster.get() is None)
        assert not _exists(pid)


@in_loop
async def test_grace_zero_ends_the_process_after_the_object_is_gone(tmp_path: Path) -> None:
    async with real_bed(tmp_path) as cluster:
        cluster.pod(container={"command": SERVE})
        await cluster.running()
        process = _process(cluster)
        cluster.delete(grace=0)
        assert cluster.get() is None
        async with asyncio.timeout(10):
            assert await process.exited == 137


@in_loop
async def test_stopping_the_node_ends_every_process(tmp_path: Path) -> None:
    async with real_bed(tmp_path) as cluster:
        cluster.pod(container={"command": SERVE})
        await cluster.running()
        process = _process(cluster)
    assert process.exited.done()
    assert not _exists(process.pid)


@in_loop
async def test_volumes_stand_at_their_mount_paths_and_are_shared_within_the_pod(tmp_path: Path) -> None:
    async with real_bed(tmp_path) as cluster:
        secret = {"metadata": {"name": "s", "namespace": NAMESPACE}, "data": {"k": "aHVzaA=="}}
        cluster.store.create("secrets", secret)
        config = {"metadata": {"name": "c", "namespace": NAMESPACE}, "data": {"k": "calm"}}
        cluster.store.create("configmaps", config)
        mounts = [{"name": "data", "mountPath": "/data"}, {"name": "sec", "mountPath": "/sec"}]
        cluster.pod(
            container={"command": ["sh", "-c", "echo shared > /data/f; " + SERVE[2]], "volumeMounts": mounts},
            volumes=[
                {"name": "data", "emptyDir": {}},
                {"name": "sec", "secret": {"secretName": "s", "items": [{"key": "k", "path": "d/k", "mode": 0o400}]}},
                {"name": "con", "configMap": {"name": "c"}},
            ],
        )
        await cluster.running()
        assert await cluster.exec("cat", "/sec/d/k") == (0, "hush", "")
        cluster.add_ephemeral("e", command=SERVE, volumeMounts=[*mounts, {"name": "con", "mountPath": "/a/b"}])
        await cluster.until(lambda: "running" in cluster.container(field="ephemeralContainerStatuses").get("state", {}))
        assert await cluster.exec("cat", "/data/f", "/a/b/k", container="e") == (0, "shared\ncalm", "")
        status, _, error = await cluster.exec("sh", "-c", "echo x > /sec/d/k")
        assert status != 0
        assert "Read-only" in error


@in_loop
async def test_a_container_sees_its_own_processes_only_and_cannot_touch_the_hosts_files(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("mine")
    async with real_bed(tmp_path) as cluster:
        cluster.pod(container={"command": SERVE})
        await cluster.running()
        status, output, _ = await cluster.exec(
            "sh", "-c", f"echo theirs > {outside}; cat {outside}; echo /proc/[0-9]* | tr ' ' '\\n'"
        )
        assert status == 0
        assert output.startswith("theirs\n/proc/1\n")
        assert outside.read_text() == "mine"
        assert f"/proc/{os.getpid()}\n" not in output


@as_root
@in_loop
async def test_run_as_user_and_groups_hold_in_container_and_exec(tmp_path: Path) -> None:
    async with real_bed(tmp_path) as cluster:
        security = {"runAsUser": 1234, "runAsGroup": 1235, "allowPrivilegeEscalation": False}
        cluster.pod(
            container={"command": ["sh", "-c", "id; " + SERVE[2]], "securityContext": security},
            securityContext={"supplementalGroups": [77]},
        )
        await cluster.running()
        assert await cluster.first_line() == "uid=1234 gid=1235 groups=1235,77\n"
        assert (await cluster.exec("id"))[1] == "uid=1234 gid=1235 groups=1235,77\n"


@as_root
@in_loop
async def test_a_container_cannot_mount_or_make_devices(tmp_path: Path) -> None:
    async with real_bed(tmp_path) as cluster:
        cluster.pod(container={"command": SERVE})
        await cluster.running()
        assert (await cluster.exec("mount", "-t", "tmpfs", "none", "/mnt"))[0] != 0
        assert (await cluster.exec("mknod", "/tmp/disk", "b", "8", "0"))[0] != 0


@in_loop
async def test_exec_gives_output_error_and_status(tmp_path: Path) -> None:
    async with real_bed(tmp_path) as cluster:
        cluster.pod(container={"command": SERVE})
        await cluster.running()
        assert await cluster.exec("sh", "-c", "echo out; echo err >&2; exit 7") == (7, "out\n", "err\n")
        assert (await cluster.exec("sh", "-c", "kill -9 $$"))[0] == 137


@in_loop
async def test_exec_of_a_missing_command_says_what_runc_says(tmp_path: Path) -> None:
    async with real_bed(tmp_path) as cluster:
        cluster.pod(container={"command": SERVE})
        await cluster.running()
        with pytest.raises(RuntimeRefusedError, match=r'exec: "/no/such": stat /no/such: no such file or directory'):
            await cluster.exec("/no/such")
        with pytest.raises(RuntimeRefusedError, match=r'exec: "no-such": executable file not found in \$PATH'):
            await cluster.exec("no-such")
        with pytest.raises(RuntimeRefusedError, match="args must not be empty"):
            await cluster.exec()


@in_loop
async def test_exec_reads_input_until_its_end(tmp_path: Path) -> None:
    async with real_bed(tmp_path) as cluster:
        cluster.pod(container={"command": SERVE})
        pod = await cluster.running()
        received = bytearray()

        async def out(data: bytes) -> None:
            received.extend(data)

        reader = asyncio.StreamReader()
        text = b"x" * 300_000  # more than a pipe holds
        reader.feed_data(text)
        reader.feed_eof()
        assert await cluster.node.exec(pod, "main", ["cat"], Streams(reader, out, out)) == 0
        assert bytes(received) == text


@in_loop
async def test_exec_with_a_terminal_has_one_and_takes_its_size(tmp_path: Path) -> None:
    async with real_bed(tmp_path) as cluster:
        cluster.pod(container={"command": SERVE})
        pod = await cluster.running()
        received = bytearray()

        async def out(data: bytes) -> None:
            received.extend(data)

        streams = Streams(asyncio.StreamReader(), out, None, tty=True)
        streams.resize.put_nowait((101, 37))
        script = "tty; until [ \"$(stty size)\" = '37 101' ]; do sleep 0.02; done; echo sized"
        async with asyncio.timeout(20):
            assert await cluster.node.exec(pod, "main", ["sh", "-c", script], streams) == 0
        assert bytes(received) == b"/dev/pts/0\r\nsized\r\n"


@in_loop
async def test_a_cancelled_exec_ends_its_command(tmp_path: Path) -> None:
    async with real_bed(tmp_path) as cluster:
        mounts = [{"name": "data", "mountPath": "/data"}]
        cluster.pod(container={"command": SERVE, "volumeMounts": mounts}, volumes=[{"name": "data", "emptyDir": {}}])
        pod = await cluster.running()
        started = asyncio.Event()

        async def out(data: bytes) -> None:
            del data
            started.set()

        words = ["sh", "-c", "echo go; exec sleep 1000"]
        task = asyncio.create_task(cluster.node.exec(pod, "main", words, Streams(None, out, out)))
        async with asyncio.timeout(20):
            await started.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            while "sleep 1000" in (await cluster.exec("sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"))[1]:
                pass


@in_loop
async def test_killing_the_first_process_of_a_container_restarts_it_and_keeps_the_old_log(tmp_path: Path) -> None:
    async with real_bed(tmp_path) as cluster:
        cluster.pod(container={"command": SERVE})
        await cluster.running()
        await cluster.first_line()
        first = cluster.container()["containerID"]
        await cluster.exec("kill", "-TERM", "1")
        await cluster.until(lambda: cluster.container()["restartCount"] == 1 and cluster.container()["ready"])
        assert cluster.container()["containerID"] != first
        assert cluster.container()["lastState"]["terminated"]["containerID"] == first
        assert await cluster.log(previous=True) == "ready\n"


@in_loop
async def test_a_container_over_its_memory_limit_is_killed(tmp_path: Path) -> None:
    async with real_bed(tmp_path) as cluster:
        command = ["tail", "/dev/zero"]
        limits = {"limits": {"memory": "24Mi"}}
        cluster.pod(container={"command": command, "resources": limits}, restartPolicy="Never")
        await cluster.until(lambda: cluster.status()["phase"] == "Failed")
        ended = cluster.container()["state"]["terminated"]
        assert (ended["exitCode"], ended["reason"]) == (137, "OOMKilled")


@in_loop
async def test_what_a_container_wrote_as_its_last_words_stands_in_its_status(tmp_path: Path) -> None:
    async with real_bed(tmp_path) as cluster:
        words = ["sh", "-c", "echo -n goodbye > /dev/termination-log; exit 1"]
        cluster.pod(container={"command": words}, restartPolicy="Never")
        await cluster.until(lambda: cluster.status()["phase"] == "Failed")
        assert cluster.container()["state"]["terminated"]["message"] == "goodbye"


@in_loop
async def test_a_readiness_probe_really_runs(tmp_path: Path) -> None:
    async with real_bed(tmp_path) as cluster:
        probe = {"exec": {"command": ["test", "-e", "/data/go"]}, "periodSeconds": 0.02, "timeoutSeconds": 5}
        mounts = [{"name": "data", "mountPath": "/data"}]
        cluster.pod(
            container={"command": SERVE, "readinessProbe": probe, "volumeMounts": mounts},
            volumes=[{"name": "data", "emptyDir": {}}],
        )
        await cluster.until(lambda: cluster.events("Unhealthy"))
        assert cluster.container()["ready"] is False
        await cluster.exec("touch", "/data/go")
        await cluster.running()


@in_loop
async def test_a_failing_liveness_probe_restarts_the_container(tmp_path: Path) -> None:
    async with real_bed(tmp_path) as cluster:
        probe = {"exec": {"command": ["false"]}, "periodSeconds": 0.02, "failureThreshold": 2, "timeoutSeconds": 5}
        cluster.pod(container={"command": SERVE, "livenessProbe": probe})
        await cluster.until(lambda: cluster.container().get("restartCount") == 1)
        assert cluster.container()["lastState"]["terminated"]["exitCode"] == 137


@in_loop
async def test_a_pre_stop_hook_runs_before_term(tmp_path: Path) -> None:
    async with real_bed(tmp_path) as cluster:
        words = ["sh", "-c", "trap 'cat /tmp/note; exit 0' TERM; echo ready >&2; while :; do sleep 0.05; done"]
        hook = {"preStop": {"exec": {"command": ["sh", "-c", "echo farewell > /tmp/note"]}}}
        cluster.pod(container={"command": words, "lifecycle": hook})
        await cluster.running()
        await cluster.first_line()
        cluster.store.update("pods", NAMESPACE, "p", lambda obj: obj["metadata"].update(finalizers=["x.example/f"]))
        cluster.delete()
        await cluster.until(lambda: cluster.status()["phase"] == "Succeeded")
        assert await cluster.log() == "ready\nfarewell\n"


@in_loop
async def test_a_post_start_hook_runs_and_its_failure_kills_the_container(tmp_path: Path) -> None:
    async with real_bed(tmp_path) as cluster:
        good = {"postStart": {"exec": {"command": ["sh", "-c", "echo made > /tmp/note"]}}}
        words = ["sh", "-c", "until [ -s /tmp/note ]; do sleep 0.02; done; cat /tmp/note; sleep 1000"]
        cluster.pod("good", container={"command": words, "lifecycle": good})
        await cluster.running("good")
        assert await cluster.first_line("good") == "made\n"
        bad = {"postStart": {"exec": {"command": ["false"]}}}
        cluster.pod("bad", container={"command": SERVE, "lifecycle": bad}, restartPolicy="Never")
        await cluster.until(lambda: cluster.status("bad")["phase"] == "Failed")
        assert cluster.container("bad")["state"]["terminated"]["exitCode"] == 137
        assert cluster.events("FailedPostStartHook")[0]["message"] == "PostStartHook failed: command exited with 1"


@in_loop
async def test_a_failing_stop_hook_is_told_and_stops_nothing(tmp_path: Path) -> None:
    async with real_bed(tmp_path) as cluster:
        hook = {"preStop": {"exec": {"command": ["false"]}}}
        cluster.pod(container={"command": SERVE, "lifecycle": hook})
        await cluster.running()
        await cluster.first_line()
        cluster.delete()
        await cluster.until(lambda: cluster.get() is None)
        assert cluster.events("FailedPreStopHook")


# -- process namespaces ----------------------------------------------------------------------------------------------
@as_root
@in_loop
async def test_a_target_container_shares_its_processes_and_takes_the_guest_with_it(tmp_path: Path) -> None:
    async with real_bed(tmp_path) as cluster:
        if not cluster.node.host.cgroups.is_available:
            pytest.skip("control groups cannot be made here")
        cluster.pod(container={"command": SERVE})
        await cluster.running()
        cluster.add_ephemeral("guest", command=["sleep", "1000"], targetContainerName="main")
        cluster.add_ephemeral("loner", command=["sleep", "1000"])
        await cluster.until(lambda: len(cluster.status().get("ephemeralContainerStatuses") or ()) == 2)
        for index in (0, 1):
            await cluster.until(
                lambda index=index: (  # type: ignore[misc]
                    "running" in cluster.container(index=index, field="ephemeralContainerStatuses")["state"]
                )
            )
        show = ("sh", "-c", "tr '\\0' ' ' < /proc/1/cmdline")
        assert (await cluster.exec(*show, container="guest"))[1].startswith("sh -c trap")
        assert (await cluster.exec(*show, container="loner"))[1].startswith("sleep 1000")
        groups = {(await cluster.exec("cat", "/proc/self/cgroup", container=name))[1] for name in ("main", "guest")}
        assert len(groups) == 2
        await cluster.first_line()
        await cluster.exec("kill", "-TERM", "1", container="guest")
        await cluster.until(
            lambda: "terminated" in cluster.container(field="ephemeralContainerStatuses").get("state", {})
        )
        guest = cluster.container(field="ephemeralContainerStatuses")["state"]["terminated"]
        assert guest["exitCode"] == 137
        await cluster.until(lambda: cluster.container()["restartCount"] == 1)
        assert "running" in cluster.container(index=1, field="ephemeralContainerStatuses")["state"]


STOP_ALL_OF_MY_GROUP = (
    "for p in /proc/[0-9]*; do q=${p#/proc/}; [ $q = $$ ] && continue; "
    'g=$(cat $p/cgroup 2>/dev/null) && [ "$g" = "$(cat /proc/self/cgroup)" ] && kill -TERM $q; done; exit 0'
)


@in_loop
async def test_a_script_that_ends_all_processes_of_its_group_ends_this_container_only(tmp_path: Path) -> None:
    async with real_bed(tmp_path) as cluster:
        cluster.pod(container={"command": SERVE})
        await cluster.running()
        cluster.add_ephemeral(
            "app", command=["sh", "-c", "trap 'exit 5' TERM; echo ready; sleep 1000 & wait"], targetContainerName="main"
        )
        await cluster.until(lambda: "running" in cluster.container(field="ephemeralContainerStatuses").get("state", {}))
        await cluster.first_line(container="app")
        await cluster.exec("sh", "-c", STOP_ALL_OF_MY_GROUP, container="app")
        await cluster.until(
            lambda: "terminated" in cluster.container(field="ephemeralContainerStatuses").get("state", {})
        )
        assert cluster.container()["restartCount"] == 0
        assert cluster.container()["ready"] is True


# -- exec in idle containers -----------------------------------------------------------------------------------------
@in_loop
async def test_the_table_answers_for_idle_containers(tmp_path: Path) -> None:
    answers = [
        {"match": "cat /sys/fs/cgroup/*", "output": "42\n"},
        {"match": "*/wait-port *", "status": 1, "error": "refused"},
    ]
    async with bed(tmp_path, {"exec_answers": answers}) as cluster:
        cluster.pod()
        await cluster.running()
        assert await cluster.exec("cat", "/sys/fs/cgroup/cpu/cpuacct.usage") == (0, "42\n", "")
        assert await cluster.exec("/composer/wait-port", "-t", "2000", "10.1.1.1:6081") == (1, "", "refused")


@in_loop
async def test_an_idle_container_runs_other_commands_for_real_in_a_place_of_its_own(tmp_path: Path) -> None:
    async with real_bed(tmp_path, {"images": []}) as cluster:
        environment = [{"name": "A", "value": "b"}]
        mounts = [{"name": "data", "mountPath": "/data"}]
        cluster.pod(container={"env": environment, "volumeMounts": mounts}, volumes=[{"name": "data", "emptyDir": {}}])
        await cluster.running()
        assert await cluster.exec("sh", "-c", "echo $A > /data/f; cat /data/f") == (0, "b\n", "")
        with pytest.raises(RuntimeRefusedError, match="executable file not found"):
            await cluster.exec("no-such-program")
        cluster.delete()
        await cluster.until(lambda: cluster.get() is None)


@in_loop
async def test_a_script_that_ends_all_processes_of_an_idle_application_ends_it(tmp_path: Path) -> None:
    async with real_bed(tmp_path, {"images": []}) as cluster:
        cluster.pod()
        await cluster.running()
        mark = [{"name": "MARK", "value": "mine"}]
        cluster.add_ephemeral("app", targetContainerName="main", env=mark)
        await cluster.until(lambda: "running" in cluster.container(field="ephemeralContainerStatuses").get("state", {}))
        # The waiting process carries the container's variables, by which applications are told apart.
        assert "MARK=mine" in (await cluster.exec("cat", "/proc/1/environ", container="app"))[1]
        await cluster.exec("sh", "-c", STOP_ALL_OF_MY_GROUP, container="app")
        await cluster.until(
            lambda: "terminated" in cluster.container(field="ephemeralContainerStatuses").get("state", {})
        )
        assert cluster.container(field="ephemeralContainerStatuses")["state"]["terminated"]["exitCode"] == 143
        assert cluster.container()["ready"] is True


@in_loop
async def test_without_isolation_nothing_runs_on_the_bare_host(tmp_path: Path) -> None:
    async with bed(tmp_path, {"isolation": "none"}) as cluster:
        cluster.pod()
        await cluster.running()
        with pytest.raises(RuntimeRefusedError, match="cannot isolate processes"):
            await cluster.exec("true")


@in_loop
async def test_exec_in_a_container_that_does_not_run_is_refused(tmp_path: Path) -> None:
    async with bed(tmp_path) as cluster:
        cluster.pod(container={"image": "busybox:missing"})
        await cluster.until(lambda: cluster.container().get("state", {}).get("waiting"))
        with pytest.raises(RuntimeRefusedError, match=r'container not found \("main"\)'):
            await cluster.exec("true")


@in_loop
async def test_a_command_that_cannot_be_run_leaves_no_process(tmp_path: Path) -> None:
    async with real_bed(tmp_path):
        layer = tmp_path / "layer"
        layer.mkdir()
        with pytest.raises(StartError, match="executable file not found"):
            await start(Command(argv=["nope"], environment={}, layer=str(layer)), lambda *_: None)
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        alive = [pid for pid in children if b"launcher.py" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        assert alive == []
