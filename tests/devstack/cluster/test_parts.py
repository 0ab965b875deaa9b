"""The small parts: quantities, selectors, names, patches, field sets, decoding, requests, bodies."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from devstack.cluster import (
    columns,
    fieldsets,
    jsontext,
    negotiation,
    patching,
    protobuf,
    quantity,
    requestinfo,
    schema,
)
from devstack.cluster.decoding import Decoder, DecodingError
from devstack.cluster.errors import ApiError, FieldError, invalid, invalid_object
from devstack.cluster.names import label, qualified, subdomain
from devstack.cluster.resources import BY_PLURAL, RESOURCES
from devstack.cluster.selectors import parse_fields, parse_labels

POD = schema.type_of("io.k8s.api.core.v1.Pod")
CONFIG_MAP = schema.type_of("io.k8s.api.core.v1.ConfigMap")


# -- quantities ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("0.5", "500m"), ("1024Mi", "1Gi"), ("1000m", "1"), ("1.5Gi", "1536Mi"), ("1e3", "1e3"), ("100", "100"),
        ("0.1Ki", "102400m"), ("0", "0"), ("1000", "1k"), ("-1", "-1"), ("1.5k", "1500"), ("1Ei", "1Ei"),
        ("0.0000000001", "1n"),
    ],
)  # fmt: skip
def test_a_quantity_is_written_canonically(text: str, canonical: str) -> None:
    assert quantity.canonical(text) == canonical


@pytest.mark.parametrize("text", ["", "x", "1x", "1..5", "1 Gi", "Gi", "1e", "--1"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(quantity.QuantityError):
        quantity.canonical(text)


@given(st.integers(-(10**15), 10**15), st.sampled_from(["", "m", "k", "Ki", "M", "Mi", "G", "Gi"]))
@example(9313225747, "Gi")  # with nine places behind the point more digits than a Decimal has by default
@example(10**40 + 1, "Gi")
@example(-(10**40) - 1, "m")
def test_writing_canonically_keeps_the_value(number: int, suffix: str) -> None:
    text = f"{number}{suffix}"
    again = quantity.canonical(text)
    assert quantity.value_of(again) == quantity.value_of(text)
    assert quantity.canonical(again) == again


def test_a_resource_is_rounded_up_to_a_thousandth() -> None:
    assert quantity.round_up_to_milli("100u") == "1m"


# -- selectors -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("selector", "fits"),
    [
        ("", True), ("a=1", True), ("a==1", True), ("a=2", False), ("a!=2", True), ("b!=2", True), ("a", True),
        ("!a", False), ("b", False), ("!b", True), ("a in (1,2)", True), ("a notin (1)", False), ("b in (1)", False),
        ("b notin (1)", True), ("a>0", True), ("a<1", False), ("a=1,n=", True), ("n", True), ("a=1,!b,n", True),
    ],
)  # fmt: skip
def test_a_label_selector_fits(selector: str, fits: bool) -> None:
    assert parse_labels(selector).fits({"metadata": {"labels": {"a": "1", "n": ""}}}) is fits


@pytest.mark.parametrize("selector", ["a=b c", "=a", "a,,b", "a in b", "a in (b", "!", "a/b/c=d", "a=;", "a>x"])
def test_a_broken_label_selector_is_a_bad_request(selector: str) -> None:
    with pytest.raises(ApiError) as raised:
        parse_labels(selector)
    assert raised.value.status == 400


def test_a_field_selector_knows_the_fields_of_its_kind() -> None:
    pod = {"metadata": {"name": "p"}, "spec": {"nodeName": "n"}, "status": {"phase": "Running"}}
    assert parse_fields("spec.nodeName=n,status.phase!=Failed", "pods").fits(pod)
    assert not parse_fields("status.phase=Failed", "pods").fits(pod)
    with pytest.raises(ApiError):
        parse_fields("spec.nodeName=n", "configmaps")


# -- names -----------------------------------------------------------------------------------------------------------
def test_names_have_their_rules() -> None:
    assert label("a-b") == []
    assert label("a.b") == ["must not contain dots"]
    assert subdomain("a.b") == []
    assert len(subdomain("A")) == 1
    assert len(label("a" * 64)) == 1
    assert qualified("example.com/name") == []
    assert len(qualified("a/b/c")) == 1


# -- patches ---------------------------------------------------------------------------------------------------------
def test_a_json_patch_changes_a_copy() -> None:
    before = {"a": {"b": [1, 2]}}
    operations = [{"op": "add", "path": "/a/b/-", "value": 3}, {"op": "remove", "path": "/a/b/0"}]
    assert patching.json_patch(before, operations) == {"a": {"b": [2, 3]}}
    assert before == {"a": {"b": [1, 2]}}


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/a", "value": 2},
        {"op": "remove", "path": "/b"},
        {"op": "add", "path": "/b/c", "value": 1},
        {"op": "frob", "path": "/a"},
        {"op": "add", "path": "a", "value": 1},
        {"path": "/a"},
        {"op": "copy", "from": "/nope", "path": "/b"},
    ],
)
def test_a_json_patch_that_cannot_be_done_is_unprocessable(operation: dict[str, Any]) -> None:
    with pytest.raises(ApiError) as raised:
        patching.json_patch({"a": 1}, [operation])
    assert raised.value.status == 422


def test_a_merge_patch_removes_by_null_and_replaces_lists() -> None:
    before = {"a": 1, "b": {"c": 1, "d": 2}, "l": [1, 2]}
    assert patching.merge_patch(before, {"a": None, "b": {"c": None, "e": 3}, "l": [9]}) == {
        "b": {"d": 2, "e": 3},
        "l": [9],
    }


def strategic(spec: dict[str, Any], patch: dict[str, Any]) -> Any:
    return patching.strategic_patch({"spec": spec}, {"spec": patch}, POD)["spec"]


def test_a_strategic_patch_merges_containers_by_name_and_puts_new_ones_first() -> None:
    before = {"containers": [{"name": "a", "image": "x", "env": [{"name": "E", "value": "1"}]}]}
    patch = {"containers": [{"name": "a", "image": "y"}, {"name": "b", "image": "z"}]}
    assert strategic(before, patch) == {
        "containers": [{"name": "b", "image": "z"}, {"name": "a", "image": "y", "env": [{"name": "E", "value": "1"}]}]
    }


def test_a_strategic_patch_deletes_and_replaces_by_directive() -> None:
    before = {"containers": [{"name": "a"}, {"name": "b"}], "nodeSelector": {"k": "v"}}
    assert strategic(before, {"containers": [{"name": "a", "$patch": "delete"}]})["containers"] == [{"name": "b"}]
    assert strategic(before, {"nodeSelector": {"$patch": "replace", "n": "w"}})["nodeSelector"] == {"n": "w"}
    replaced = strategic(before, {"containers": [{"$patch": "replace"}, {"name": "c"}]})
    assert replaced["containers"] == [{"name": "c"}]


def test_a_strategic_patch_obeys_the_order_it_brings() -> None:
    before = {"containers": [{"name": "a"}, {"name": "b"}]}
    patch = {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}], "containers": [{"name": "a", "image": "i"}]}
    assert [item["name"] for item in strategic(before, patch)["containers"]] == ["b", "a"]


@given(st.dictionaries(st.text("ab", min_size=1, max_size=2), st.one_of(st.integers(), st.text("xy", max_size=2))))
def test_merging_an_object_into_itself_changes_nothing(document: dict[str, Any]) -> None:
    assert patching.merge_patch(document, document) == document


# -- field sets ------------------------------------------------------------------------------------------------------
def test_field_sets_survive_being_written() -> None:
    config = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    paths = fieldsets.applied_paths(config, POD)
    fields = fieldsets.to_fields(paths)
    assert fields["f:spec"] == {"f:containers": {'k:{"name":"c"}': {".": {}, "f:image": {}, "f:name": {}}}}
    assert fieldsets.from_fields(fields) == paths


def test_comparing_tells_changed_and_removed_fields() -> None:
    changed, removed = fieldsets.compare({"data": {"a": "1", "b": "2"}}, {"data": {"a": "9", "c": "3"}}, CONFIG_MAP)
    assert changed == {("f:data", "f:a"), ("f:data", "f:c")}
    assert removed == {("f:data", "f:b")}


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"containers": []},
        {"nodeSelector": {}, "containers": [{"name": "a", "ports": [{"containerPort": 80}]}]},
        {
            "containers": [
                {"name": "b", "image": "i", "env": [{"name": "X", "value": "1"}], "command": ["sleep", "1"]},
                {"name": "a", "resources": {"limits": {"cpu": "1"}}, "securityContext": {}},
            ],
            "volumes": [{"name": "v", "secret": {"secretName": "s", "items": [{"key": "k", "path": "p"}]}}],
            "tolerations": [{"key": "t"}],
        },
    ],
)
def test_the_fields_of_a_new_object_are_what_differs_from_an_empty_one(spec: dict[str, Any]) -> None:
    metadata = {"name": "p", "namespace": "n", "labels": {"z": "1", "a": "2"}, "annotations": {}, "finalizers": ["f/f"]}
    new = {"metadata": metadata, "spec": spec, "status": {"phase": "Pending"}}
    skeleton: dict[str, Any] = {"metadata": {}, "spec": {"containers": []}, "status": {}}
    changed, _ = fieldsets.compare(skeleton, new, POD)
    wanted = fieldsets.to_fields({path for path in changed if path[0] != "f:status"})
    assert json.dumps(fieldsets.created_fields(skeleton, new, POD)) == json.dumps(wanted)


def test_an_atomic_map_is_one_field() -> None:
    changed, _ = fieldsets.compare({"spec": {"nodeSelector": {"a": "1"}}}, {"spec": {"nodeSelector": {"a": "2"}}}, POD)
    assert changed == {("f:spec", "f:nodeSelector")}


# -- decoding --------------------------------------------------------------------------------------------------------
def test_decoding_drops_and_notes_what_is_not_in_the_schema() -> None:
    decoder = Decoder()
    decoded = decoder.decode({"spec": {"typo": 1, "containers": [{"name": "c", "imagee": "x"}]}}, POD)
    assert decoded == {"spec": {"containers": [{"name": "c"}]}}
    assert decoder.unknown == ["spec.typo", "spec.containers[0].imagee"]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"metadata": {"labels": {"a": 5}}}, "cannot unmarshal number into Go struct field ObjectMeta.metadata.labels"),
        ({"spec": {"containers": "x"}}, "field PodSpec.spec.containers of type []v1.Container"),
        ({"metadata": "x"}, "field Pod.metadata of type v1.ObjectMeta"),
        ({"spec": {"hostNetwork": "yes"}}, "cannot unmarshal string into Go struct field PodSpec.spec.hostNetwork"),
        ({"spec": {"activeDeadlineSeconds": 1.5}}, "cannot unmarshal number 1.5"),
    ],
)
def test_a_wrong_type_is_told_in_gos_words(document: dict[str, Any], message: str) -> None:
    with pytest.raises(DecodingError, match=message.replace("[", r"\[").replace("]", r"\]")):
        Decoder().decode(document, POD)


def test_empty_optional_values_are_left_out_and_pointers_are_kept() -> None:
    decoded = Decoder().decode(
        {
            "metadata": {"labels": {}, "annotations": None},
            "spec": {"hostNetwork": False, "containers": [], "securityContext": {"runAsUser": 0}},
        },
        POD,
    )
    assert decoded == {"metadata": {}, "spec": {"containers": [], "securityContext": {"runAsUser": 0}}}


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda resource: f"{resource.group}/{resource.plural}")
def test_every_kind_has_a_schema(resource: Any) -> None:
    assert "metadata" in schema.type_of(resource.definition).fields


# -- requests and bodies ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("method", "path", "query", "parts"),
    [
        ("GET", "/api/v1/pods", {}, ("list", "", "", "pods", "", "")),
        ("GET", "/api/v1/namespaces/n/pods", {"watch": ["1"]}, ("watch", "", "n", "pods", "", "")),
        ("GET", "/api/v1/namespaces/n/pods", {"watch": ["false"]}, ("list", "", "n", "pods", "", "")),
        ("GET", "/api/v1/namespaces/n", {}, ("get", "", "n", "namespaces", "n", "")),
        ("POST", "/api/v1/namespaces/n/pods/p/exec", {}, ("create", "", "n", "pods", "p", "exec")),
        (
            "DELETE",
            "/apis/apps/v1/namespaces/n/deployments",
            {},
            ("deletecollection", "apps", "n", "deployments", "", ""),
        ),
        ("PATCH", "/api/v1/nodes/x/status", {}, ("patch", "", "", "nodes", "x", "status")),
        ("GET", "/api/v1/watch/namespaces/n/pods/p", {}, ("watch", "", "n", "pods", "p", "")),
    ],
)
def test_a_request_is_read_from_its_path(method: str, path: str, query: Any, parts: tuple[str, ...]) -> None:
    info = requestinfo.parse(method, path, query)
    assert (info.verb, info.group, info.namespace, info.resource, info.name, info.subresource) == parts


@pytest.mark.parametrize("path", ["/", "/version", "/healthz/ping", "/api", "/apis/apps/v1", "/api/v1//pods"])
def test_other_paths_are_no_resources(path: str) -> None:
    assert not requestinfo.parse("GET", path, {}).is_resource


def test_fields_named_twice_are_found() -> None:
    assert jsontext.duplicate_fields(b'{"a": 1, "b": [{"c": 1, "c": 2}], "a": 2}') == ["a", "b[0].c"]


def test_yaml_keys_become_text_and_times_stay_text() -> None:
    assert jsontext.read_yaml(b"no: 1\nt: 2020-01-01T00:00:00Z\n") == {"false": 1, "t": "2020-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("accept", "media", "view"),
    [
        (None, "application/json", ""),
        ("*/*", "application/json", ""),
        ("application/yaml", "application/yaml", ""),
        ("text/csv,application/json;q=0.5,application/yaml", "application/yaml", ""),
        ("application/json;as=Table;v=v1;g=meta.k8s.io,application/json", "application/json", "Table"),
        ("application/json;as=Unknown;v=v1;g=meta.k8s.io,application/json", "application/json", ""),
    ],
)
def test_the_form_of_an_answer_is_negotiated(accept: str | None, media: str, view: str) -> None:
    answer = negotiation.negotiate(accept)
    assert (answer.media, answer.view) == (media, view)


def test_a_form_nobody_has_is_not_acceptable() -> None:
    with pytest.raises(ApiError) as raised:
        negotiation.negotiate("text/csv")
    assert raised.value.status == 406


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def field(number: int, value: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(value)) + value


def test_protobuf_of_a_secret_is_read() -> None:
    metadata = field(1, b"s") + field(11, field(1, b"app") + field(2, b"x")) + field(8, b"")
    secret = field(1, metadata) + field(2, field(1, b"k") + field(2, b"\x00\xff")) + field(3, b"Opaque")
    envelope = field(1, field(1, b"v1") + field(2, b"Secret")) + field(2, secret)
    assert protobuf.read(protobuf.MAGIC + envelope) == {
        "kind": "Secret",
        "apiVersion": "v1",
        "metadata": {"name": "s", "labels": {"app": "x"}},
        "data": {"k": "AP8="},
        "type": "Opaque",
    }


@given(st.binary(max_size=64))
def test_broken_protobuf_is_an_error_of_its_own(junk: bytes) -> None:
    with pytest.raises(protobuf.ProtobufError):
        protobuf.read(protobuf.MAGIC + field(1, field(2, b"Nothing")) + junk)


# -- errors and tables -----------------------------------------------------------------------------------------------
def test_an_invalid_object_names_every_cause_and_tells_each_text_once() -> None:
    fault = invalid("spec.x", 5, "is too large")
    error = invalid_object("Pod", "", "p", [fault, fault, FieldError("FieldValueRequired", "spec.y", "Required value")])
    assert error.message == 'Pod "p" is invalid: [spec.x: Invalid value: 5: is too large, spec.y: Required value]'
    assert error.details is not None
    assert len(error.details["causes"]) == 3


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"), (119, "119s"), (120, "2m"), (200, "3m20s"), (660, "11m"), (4 * 3600 + 60, "4h1m"),
        (20 * 3600, "20h"), (3 * 86400, "3d"), (3 * 86400 + 7200, "3d2h"), (30 * 86400, "30d"), (800 * 86400, "2y70d"),
    ],
)  # fmt: skip
def test_ages_are_written_as_kubectl_does(seconds: int, text: str) -> None:
    assert columns.human_duration(seconds) == text


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        ({"phase": "Pending"}, "Pending"),
        ({"phase": "Running", "containerStatuses": [{"ready": True, "state": {"running": {}}}]}, "Running"),
        (
            {"phase": "Pending", "containerStatuses": [{"state": {"waiting": {"reason": "ErrImagePull"}}}]},
            "ErrImagePull",
        ),
        ({"phase": "Failed", "containerStatuses": [{"state": {"terminated": {"exitCode": 3}}}]}, "ExitCode:3"),
        ({"phase": "Failed", "reason": "Evicted"}, "Evicted"),
    ],
)
def test_the_status_column_of_a_pod(status: dict[str, Any], shown: str) -> None:
    pod = {"metadata": {"name": "p"}, "spec": {"containers": [{}]}, "status": status}
    assert columns.columns_of("pods")[2].cell(pod) == shown
    pod["metadata"]["deletionTimestamp"] = "2020-01-01T00:00:00Z"
    assert columns.columns_of("pods")[2].cell(pod) == "Terminating"


def test_columns_of_a_kind_name_their_descriptions() -> None:
    for kind, found in columns.COLUMNS.items():
        assert columns.describe(found[0], BY_PLURAL[kind]), kind
