"""Image descriptions become application records."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oc.od.apps.inspect import UnusableImageError, parse_image, read_image
from oc.od.apps.model import Application
from oc.od.apps.store import read_record

Sample = Callable[[str], Any]
Image = Callable[..., dict[str, Any]]

SHARED = Path(__file__).parents[3].parent / "shared" / "data" / "apps"
FIELDS = [
    "cmd", "path", "sha_id", "id", "architecture", "os", "rules", "acl", "launch", "wm_class", "name", "icon",
    "icondata", "keyword", "uniquerunkey", "cat", "args", "execmode", "showinview", "displayname", "desktopfile",
    "executeclassname", "runtimeClassName", "executablefilename", "usedefaultapplication", "mimetype",
    "fileextensions", "legacyfileextensions", "secrets_requirement", "containerengine", "securitycontext", "created",
]  # fmt: skip


def read(item: object) -> Application:
    return parse_image(item, "abcdesktop")


class TestForms:
    def test_a_docker_image_gives_the_whole_record_in_order(self, sample: Sample) -> None:
        image = sample("docker_list")[0]
        document = read(image).document()
        assert list(document) == FIELDS
        assert document == {
            "cmd": ["/composer/appli-docker-entrypoint.sh"],
            "path": "/usr/bin/writer",
            "sha_id": "sha256:" + "1" * 64,
            "id": "ghcr.io/abcdesktopio/writer.d:4.4",
            "architecture": "amd64",
            "os": "linux",
            "rules": {"homedir": {"default": True}},
            "acl": {"permit": ["all"]},
            "launch": "writer.Writer",
            "wm_class": None,
            "name": "writer",
            "icon": "circle_writer.svg",
            "icondata": image["Config"]["Labels"]["oc.icondata"],
            "keyword": "writer,sample",
            "uniquerunkey": "libreoffice",
            "cat": "office",
            "args": ["--writer"],
            "execmode": None,
            "showinview": "dock",
            "displayname": "Writer",
            "desktopfile": None,
            "executeclassname": None,
            "runtimeClassName": None,
            "executablefilename": "writer",
            "usedefaultapplication": True,
            "mimetype": ["application/vnd.oasis.opendocument.text", "text/rtf"],
            "fileextensions": ["odt", "rtf"],
            "legacyfileextensions": ["odt"],
            "secrets_requirement": None,
            "containerengine": "ephemeral_container",
            "securitycontext": {},
            "created": "2026-08-21T00:33:12.911879538Z",
        }

    def test_the_labels_of_a_pod_application_are_read(self, sample: Sample) -> None:
        viewer = read(sample("docker_list")[1])
        assert viewer.acl == {"permit": ["crew"], "deny": ["guests"]}
        assert viewer.secrets_requirement == ("abcdesktop/ntlm", "abcdesktop/kerberos")
        assert (viewer.containerengine, viewer.executeclassname) == ("pod_application", "gold")
        assert (viewer.runtimeClassName, viewer.securitycontext) == ("nvidia", {"runAsUser": 1000})
        assert viewer.rules == {}

    def test_a_podman_image_gets_the_prefix_of_its_digest(self, sample: Sample) -> None:
        editor = read(sample("podman")[0])
        assert editor.sha_id == "sha256:" + "3" * 64
        assert editor.id == "docker.io/abcdesktopio/editor.d:4.4"
        assert (editor.cmd, editor.args) == (("/bin/editor",), ("--new", "a b"))

    def test_an_image_without_labels_is_named_after_its_command(self, sample: Sample) -> None:
        tutorial = read(sample("nerdctl_no_labels"))
        assert (tutorial.name, tutorial.launch, tutorial.icon, tutorial.displayname) == ("tutorial",) * 4
        assert (tutorial.executablefilename, tutorial.path, tutorial.args) == ("tutorial", None, None)
        assert tutorial.acl == {"permit": ["all"]}
        assert "tutorial" in base64.b64decode(tutorial.icondata).decode()

    def test_a_crictl_image_is_read_where_its_tool_puts_things(self, sample: Sample) -> None:
        player = read(sample("crictl"))
        assert (player.id, player.sha_id) == ("ghcr.io/abcdesktopio/player.d:4.4", "sha256:" + "5" * 64)
        assert (player.architecture, player.os) == ("arm64", "linux")
        assert player.created == "2026-08-21T00:33:12.911879538Z"
        assert (player.args, player.secrets_requirement) == (("--quiet",), ("abcdesktop/citrix",))

    def test_a_flat_object_may_hold_values_of_the_right_type(self, sample: Sample) -> None:
        flat = read(sample("flat"))
        assert (flat.id, flat.name, flat.architecture) == ("abcdesktopio/flat.d:4.4", "flat", "amd64")
        assert (flat.acl, flat.mimetype, flat.usedefaultapplication) == ({"permit": ["all"]}, ("text/plain",), True)
        assert flat.cmd is None

    def test_all_published_samples_are_read(self) -> None:
        if not SHARED.is_dir():
            pytest.skip("the published image descriptions (../shared/data/apps) are not here")
        images = [item for path in sorted(SHARED.glob("*.json")) for item in json.loads(path.read_text())]
        records = [read(item) for item in images]
        assert [record.id for record in records] == [item["RepoTags"][0] for item in images]
        assert len(records) == 19
        assert {record.cmd for record in records} == {("/composer/appli-docker-entrypoint.sh",)}


class TestCommands:
    @pytest.mark.parametrize(
        ("entrypoint", "cmd", "args", "expected"),
        [
            (["/e"], ["/c", "-x"], "--label", (("/e",), ("/c", "-x"))),
            (["/e"], None, "--label", (("/e",), ("--label",))),
            (["/e"], [], None, (("/e",), None)),
            (None, ["/c"], "--a 'b c'", (("/c",), ("--a 'b c'",))),
            (None, ["/c"], None, (("/c",), None)),
            (None, None, "--label", (None, None)),
            ("/text", ["/c"], None, (("/c",), None)),
            ([1], ["/c"], None, (("/c",), None)),
        ],
    )
    def test_an_entrypoint_makes_cmd_its_arguments(
        self, image: Image, entrypoint: object, cmd: object, args: str | None, expected: object
    ) -> None:
        item = image(args=args)
        item["Config"].update(Entrypoint=entrypoint, Cmd=cmd)
        record = read(item)
        assert (record.cmd, record.args) == expected

    def test_the_program_is_the_base_name_of_the_path_else_of_the_command(self, image: Image) -> None:
        assert read(image(path="/usr/lib/office/soffice")).executablefilename == "soffice"
        assert read(image(path=None)).executablefilename == "appli-docker-entrypoint.sh"
        assert read(image(path="/dir/")).executablefilename == "appli-docker-entrypoint.sh"


class TestLabels:
    @pytest.mark.parametrize(
        ("text", "expected"), [("a;b;", ("a", "b")), (" ; a ;; b", ("a", "b")), ("", ()), ("a,b", ("a,b",)), (None, ())]
    )
    def test_semicolon_lists_drop_blanks_and_keep_order(
        self, image: Image, text: str | None, expected: tuple[str, ...]
    ) -> None:
        assert read(image(mimetype=text)).mimetype == expected

    @pytest.mark.parametrize(
        "name", ["rules", "acl", "securitycontext", "usedefaultapplication", "secrets_requirement"]
    )
    def test_text_that_is_not_json_is_logged_and_gives_the_default(
        self, image: Image, name: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        default = read(image(**{name: None}))
        with caplog.at_level(logging.ERROR):
            broken = read(image(**{name: "{unquoted: 1}"}))
        assert broken == default
        assert f"oc.{name} is not JSON" in caplog.text
        assert "registry.test/x:1" in caplog.text

    @pytest.mark.parametrize("acl", ["[]", '"all"', "3", "true", "[" * 500 + "]" * 500, '{"a":' * 40 + "1" + "}" * 40])
    def test_an_access_list_of_another_shape_lets_nobody_in(self, image: Image, acl: str) -> None:
        assert read(image(acl=acl)).acl == {"permit": []}

    def test_an_access_list_that_is_too_long_lets_nobody_in(self, image: Image) -> None:
        assert read(image(acl='{"permit":["all"]}' + " " * 70_000)).acl == {"permit": []}

    @pytest.mark.parametrize("rules", ["[]", "3", '{"a": 1e999}', '{"a": 99999999999999999999}', '{"a\\u0000": 1}'])
    def test_an_object_of_another_shape_or_one_bson_cannot_hold_is_empty(self, image: Image, rules: str) -> None:
        assert read(image(rules=rules)).rules == {}

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ('["ntlm", "kerberos"]', ("abcdesktop/ntlm", "abcdesktop/kerberos")),
            ('"citrix"', ("abcdesktop/citrix",)),
            ('["abcdesktop/ntlm"]', ("abcdesktop/ntlm",)),
            ("[]", None),
            ("[1]", None),
            ("{}", None),
            (["ntlm"], ("abcdesktop/ntlm",)),
        ],
    )
    def test_secret_types_get_the_prefix_of_the_namespace_once(
        self, image: Image, text: object, expected: object
    ) -> None:
        assert read(image(secrets_requirement=text)).secrets_requirement == expected

    def test_the_runtime_class_may_be_spelled_in_lower_case(self, image: Image) -> None:
        assert read(image(runtimeclassname="nvidia")).runtimeClassName == "nvidia"

    def test_blank_and_oversized_texts_count_as_absent(self, image: Image) -> None:
        assert read(image(displayname="  ", keyword="k" * 70_000)).displayname == "writer"
        assert read(image(keyword="k" * 70_000)).keyword is None

    @pytest.mark.parametrize("icon", ["not base64 <svg>", '"onload=', "x" * 600_000])
    def test_an_icon_that_is_no_base64_or_too_large_is_replaced(self, image: Image, icon: str) -> None:
        svg = ElementTree.fromstring(base64.b64decode(read(image(icondata=icon)).icondata))
        assert "".join(svg.itertext()) == "writer"

    @pytest.mark.parametrize("name", ['<script>alert("1")</script>', "a&b", "nul\x00\x1b", "ünï"])
    def test_the_generated_icon_is_valid_xml_whatever_the_name(self, image: Image, name: str) -> None:
        svg = ElementTree.fromstring(base64.b64decode(read(image(name=name, icondata=None)).icondata))
        assert len(svg) == 2
        assert svg.get("viewBox") == "0 0 64 64"


class TestUnusable:
    @pytest.mark.parametrize("item", [None, 3, "text", [], {}, {"RepoTags": ["a:1"], "Id": "sha256:1"}])
    def test_what_is_no_image_is_skipped(self, item: object, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.WARNING):
            assert read_image(item, "abcdesktop") is None
        assert "is skipped" in caplog.text

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("RepoTags", None),
            ("RepoTags", []),
            ("RepoTags", "a:1"),
            ("RepoTags", ["<none>:<none>"]),
            ("RepoTags", [""]),
            ("RepoTags", [3]),
            ("RepoTags", ["a b:1"]),
            ("RepoTags", ["x" * 600]),
            ("Id", None),
            ("Id", 3),
            ("Id", ""),
            ("Config", None),
            ("Config", []),
        ],
    )
    def test_an_image_without_tag_digest_or_configuration_is_skipped_by_name(
        self, image: Image, field: str, value: object, caplog: pytest.LogCaptureFixture
    ) -> None:
        item = {**image(), field: value}
        with caplog.at_level(logging.WARNING):
            assert read_image(item, "abcdesktop") is None
        assert "is skipped" in caplog.text
        assert "<unnamed>" not in caplog.text
        with pytest.raises(UnusableImageError) as refusal:
            read(item)
        assert refusal.value.status == 400

    def test_an_image_without_name_and_command_is_skipped(self, image: Image) -> None:
        item = image(name=None)
        item["Config"].update(Cmd=None, Entrypoint=None)
        assert read_image(item, "abcdesktop") is None

    def test_a_crictl_image_without_configuration_is_skipped(self, sample: Sample) -> None:
        item = sample("crictl")
        item["info"] = {}
        assert read_image(item, "abcdesktop") is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)
LABEL_NAMES = ["name", "launch", "icon", "icondata", "acl", "rules", "mimetype", "args", "path", "secrets_requirement"]


@given(JSON)
def test_no_json_makes_the_reader_crash(item: object) -> None:
    read_image(item, "abcdesktop")


@given(
    tags=st.lists(st.text(max_size=10), max_size=2) | JSON,
    labels=st.dictionaries(st.sampled_from([f"oc.{name}" for name in LABEL_NAMES]), JSON | st.text(), max_size=8),
    cmd=st.lists(st.text(max_size=5), max_size=2) | JSON,
    crictl=st.booleans(),
)
@example(tags=["x:1"], labels={}, cmd=[" "], crictl=False)
@example(tags=["x:1"], labels={}, cmd=["/bin/ "], crictl=True)
def test_whatever_the_labels_hold_the_record_can_be_stored_and_read_again(
    tags: object, labels: dict[str, object], cmd: object, crictl: bool
) -> None:
    config = {"Labels": labels, "Cmd": cmd}
    digest = "sha256:" + "0" * 64
    item: dict[str, object] = {"RepoTags": tags, "Id": digest, "Config": config}
    if crictl:
        item = {"status": {"repoTags": tags, "id": digest}, "info": {"imageSpec": {"config": config}}}
    record = read_image(item, "abcdesktop")
    if record is None:
        record = read_image({**item, "RepoTags": ["x:1"]}, "abcdesktop")
    if record is not None:
        document = record.document()
        msgspec.json.encode(document)
        assert read_record(document) == record
