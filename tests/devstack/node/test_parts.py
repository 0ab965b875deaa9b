"""The small parts: image names, variables, logs, resources, addresses, options."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devstack.cluster.node import parse_options, realistic_options
from devstack.cluster.node.addresses import AddressPool, NoAddressError
from devstack.cluster.node.demand import pod_requests
from devstack.cluster.node.environment import ConfigError, build_environment, expand, field_value
from devstack.cluster.node.images import InvalidImageNameError, parse_image
from devstack.cluster.node.logs import MAX_LINE_BYTES, LogBuffer
from devstack.cluster.runtime import LogOptions, RuntimeRefusedError
from tests.devstack.node.bed import in_loop


# -- images -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("busybox", "docker.io/library/busybox:latest"),
        ("busybox:1", "docker.io/library/busybox:1"),
        ("abcdesktopio/oc.x:4.4", "docker.io/abcdesktopio/oc.x:4.4"),
        ("ghcr.io/a/b", "ghcr.io/a/b:latest"),
        ("localhost:5000/a", "localhost:5000/a:latest"),
        ("localhost/a:b", "localhost/a:b"),
        (f"a/b@sha256:{'0' * 64}", f"docker.io/a/b@sha256:{'0' * 64}"),
    ],
)
def test_an_image_name_is_completed_as_a_runtime_does(text: str, reference: str) -> None:
    assert parse_image(text).reference == reference


@pytest.mark.parametrize(
    "text", ["", "A", "a b", "a:", "a::b", "-a", "a/", "/a", "a@sha256:xyz", "a//b", "a:" + "t" * 129]
)
def test_what_is_no_image_name_is_refused(text: str) -> None:
    with pytest.raises(InvalidImageNameError, match="couldn't parse image name"):
        parse_image(text)


def test_the_image_id_is_stable_and_names_the_repository() -> None:
    assert parse_image("busybox").image_id == parse_image("docker.io/library/busybox:latest").image_id
    assert parse_image("busybox").image_id.startswith("docker.io/library/busybox@sha256:")
    assert parse_image("busybox:1").image_id != parse_image("busybox:2").image_id


# -- environment ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "expanded"),
    [("$(A)", "apple"), ("$$(A)", "$(A)"), ("$(B)", "$(B)"), ("x$(A)y$(A)", "xappleyapple"), ("$A $", "$A $")],
)
def test_references_are_expanded_as_kubernetes_does(text: str, expanded: str) -> None:
    assert expand(text, {"A": "apple"}) == expanded


def _pod(**spec: Any) -> dict[str, Any]:
    metadata = {"name": "p", "namespace": "ns", "uid": "u", "labels": {"b": "2", "a": 'x"y'}}
    return {"metadata": metadata, "spec": {"nodeName": "n", **spec}, "status": {"podIPs": [{"ip": "1.2.3.4"}]}}


OBJECTS: dict[tuple[str, str], dict[str, Any]] = {
    ("secrets", "s"): {"data": {"k": "aHVzaA=="}},
    ("configmaps", "c"): {"data": {"k": "calm", "l": "1"}},
}


def _lookup(kind: str, namespace: str, name: str) -> dict[str, Any] | None:
    assert namespace == "ns"
    return OBJECTS.get((kind, name))


def test_variables_come_from_everywhere_and_later_ones_win() -> None:
    container = {
        "name": "c",
        "resources": {"limits": {"cpu": "1500m", "memory": "64Mi"}},
        "envFrom": [{"configMapRef": {"name": "c"}, "prefix": "C_"}, {"secretRef": {"name": "no", "optional": True}}],
        "env": [
            {"name": "S", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
            {"name": "C_k", "value": "own $(S)"},
            {"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            {"name": "L", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['b']"}}},
            {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
            {"name": "MEM", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
            {"name": "OPT", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "zz", "optional": True}}},
        ],
    }
    values = build_environment(_pod(), container, {}, _lookup)
    expected = {"S": "hush", "C_k": "own hush", "C_l": "1", "N": "n", "L": "2", "CPU": "2", "MEM": "64"}
    assert expected.items() <= values.items()
    assert "OPT" not in values
    assert values["HOSTNAME"] == "p"


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ({"secretKeyRef": {"name": "no", "key": "k"}}, 'secret "no" not found'),
        ({"configMapKeyRef": {"name": "no", "key": "k"}}, 'configmap "no" not found'),
        ({"secretKeyRef": {"name": "s", "key": "zz"}}, "couldn't find key zz in Secret ns/s"),
        ({"configMapKeyRef": {"name": "c", "key": "zz"}}, "couldn't find key zz in ConfigMap ns/c"),
    ],
)
def test_a_missing_reference_is_told_as_the_kubelet_tells_it(reference: dict[str, Any], message: str) -> None:
    container = {"name": "c", "env": [{"name": "A", "valueFrom": reference}]}
    with pytest.raises(ConfigError) as caught:
        build_environment(_pod(), container, {}, _lookup)
    assert str(caught.value) == message


def test_all_labels_are_written_one_a_line_and_escaped() -> None:
    assert field_value(_pod(), "metadata.labels") == 'a="x\\"y"\nb="2"'


# -- resources --------------------------------------------------------------------------------------------------------
def _asks(**requests: str) -> dict[str, Any]:
    return {"name": "c", "resources": {"requests": requests}}


def test_a_pod_asks_for_the_sum_of_its_containers_or_its_largest_init_container() -> None:
    spec = {"containers": [_asks(cpu="100m"), _asks(cpu="1", memory="1Gi")], "initContainers": [_asks(cpu="3")]}
    assert pod_requests(spec) == {"cpu": Decimal(3), "memory": Decimal(2**30)}


def test_side_cars_overhead_and_limits_without_requests_count() -> None:
    spec = {
        "containers": [{"name": "c", "resources": {"limits": {"cpu": "2"}}}],
        "initContainers": [{**_asks(cpu="1"), "restartPolicy": "Always"}],
        "overhead": {"cpu": "500m"},
    }
    assert pod_requests(spec) == {"cpu": Decimal("3.5")}


def test_requests_of_the_pod_as_a_whole_count_instead_of_the_sum() -> None:
    spec = {"containers": [_asks(cpu="5", memory="1Gi")], "resources": {"requests": {"cpu": "6"}}}
    assert pod_requests(spec) == {"cpu": Decimal(6), "memory": Decimal(2**30)}


# -- logs -------------------------------------------------------------------------------------------------------------
async def _read(buffer: LogBuffer, **options: Any) -> bytes:
    return b"".join([chunk async for chunk in buffer.read(LogOptions(**options))])


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000_000_000_000

    def __call__(self) -> int:
        return self.now


@in_loop
async def test_lines_come_back_in_order_with_tail_limit_and_time() -> None:
    clock = Clock()
    buffer = LogBuffer(1000, clock)
    buffer.write("stdout", b"one\ntw")
    buffer.write("stderr", b"oops\n")
    clock.now += 10_000_000_001
    buffer.write("stdout", b"o\nthree")
    assert await _read(buffer) == b"one\noops\ntwo\n"
    buffer.close()
    assert await _read(buffer) == b"one\noops\ntwo\nthree"
    assert await _read(buffer, tail_lines=2) == b"two\nthree"
    assert await _read(buffer, tail_lines=0) == b""
    assert await _read(buffer, limit_bytes=5) == b"one\no"
    assert await _read(buffer, since_seconds=5) == b"two\nthree"
    assert await _read(buffer, since_time="2023-11-14T22:13:25Z") == b"two\nthree"
    assert await _read(buffer, tail_lines=1, timestamps=True) == b"2023-11-14T22:13:30.000000001Z three"


@in_loop
async def test_a_bad_since_time_is_refused() -> None:
    buffer = LogBuffer(1000)
    with pytest.raises(RuntimeRefusedError):
        await _read(buffer, since_time="yesterday")


@in_loop
async def test_following_gives_what_comes_until_the_end() -> None:
    buffer = LogBuffer(1000)
    buffer.write("stdout", b"old\nlast\n")
    task = asyncio.create_task(_read(buffer, follow=True, tail_lines=1))
    await asyncio.sleep(0)
    buffer.write("stdout", b"new\n")
    await asyncio.sleep(0)
    buffer.write("stderr", b"rest")
    buffer.close()
    assert await task == b"last\nnew\nrest"


@in_loop
async def test_a_follower_that_is_overtaken_goes_on_with_what_is_left() -> None:
    buffer = LogBuffer(20)
    task = asyncio.create_task(_read(buffer, follow=True))
    await asyncio.sleep(0)
    for number in range(100):
        buffer.write("stdout", b"line %d\n" % number)
    buffer.close()
    assert (await task).endswith(b"line 98\nline 99\n")


@settings(deadline=None)
@given(st.lists(st.binary(max_size=200), max_size=50), st.integers(min_value=1, max_value=500))
def test_a_log_never_holds_more_than_its_limit_but_for_one_line(pieces: list[bytes], limit: int) -> None:
    buffer = LogBuffer(limit)
    for piece in pieces:
        buffer.write("stdout", piece)
    buffer.close()
    held = asyncio.run(_read(buffer))
    whole = b"".join(pieces)
    assert whole.endswith(held)
    newest = whole.splitlines(keepends=True)[-1:] or [b""]
    assert len(held) <= max(limit, len(max(whole.split(b"\n"), key=len)) + 1)
    assert held.endswith(newest[0]) or not whole


@in_loop
async def test_a_line_without_end_is_cut() -> None:
    buffer = LogBuffer(10**6)
    buffer.write("stdout", b"x" * (3 * MAX_LINE_BYTES))
    assert len((await _read(buffer)).splitlines()) == 3


# -- addresses, options -----------------------------------------------------------------------------------------------
def test_a_full_network_is_an_error() -> None:
    pool = AddressPool("10.0.0.0/30")
    assert pool.take() == "10.0.0.2"
    with pytest.raises(NoAddressError, match="no IP addresses available"):
        pool.take()
    pool.give_back("10.0.0.2")
    assert pool.take() == "10.0.0.2"


def test_an_unknown_option_is_refused_with_its_place() -> None:
    with pytest.raises(msgspec.ValidationError, match=r"unknown field `pul_s` - at `\$.images\[0\]`"):
        parse_options({"images": [{"match": "*", "pul_s": 1}]})


def test_the_first_fitting_rule_counts() -> None:
    options = parse_options({"images": [{"match": "a*", "run": "command"}, {"match": "*", "run": ["x"]}]})
    assert options.image_rule("abc").run == "command"
    assert options.image_rule("b").run == ["x"]
    assert parse_options({}).image_rule("b").run == "idle"


def test_the_exec_table_looks_at_command_image_and_container() -> None:
    rules = [
        {"match": "ls*", "container": "x"},
        {"match": "ps*", "image": "desk*"},
        {"match": "id", "idle_only": False},
    ]
    options = parse_options({"exec_answers": rules})
    assert options.exec_rule("i", "x", ["ls", "-l"], idle=True)
    assert not options.exec_rule("i", "y", ["ls", "-l"], idle=True)
    assert options.exec_rule("desktop:1", "y", ["ps"], idle=True)
    assert not options.exec_rule("other:1", "y", ["ps"], idle=True)
    assert not options.exec_rule("i", "x", ["ls"], idle=False)
    assert options.exec_rule("i", "x", ["id"], idle=False)


def test_the_realistic_options_are_valid() -> None:
    assert parse_options(realistic_options()).delays.sandbox > 0
