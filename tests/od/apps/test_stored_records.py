"""Documents of the database, also those an older release has written, become application records."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import bson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oc.model.acl import permits
from oc.od.apps.inspect import parse_image
from oc.od.apps.store import read_record

OLD = {
    "_id": bson.ObjectId(),
    "cmd": ["/composer/appli-docker-entrypoint.sh"],
    "path": "/usr/bin/xedit",
    "sha_id": "sha256:" + "e" * 64,
    "id": "abcdesktopio/xedit.d:3.0",
    "rules": {},
    "acl": {"permit": ["all"]},
    "launch": "xedit.Xedit",
    "name": "xedit",
    "icon": "circle_xedit.svg",
    "icondata": "PHN2Zy8+",
    "home": None,
    "args": "--new -x",
    "mimetype": ["text/plain"],
    "secrets_requirement": ["other/ntlm"],
    "image_pull_policy": "IfNotPresent",
    "usedefaultapplication": False,
}


def test_what_is_stored_is_read_again_unchanged(sample: Callable[[str], Any]) -> None:
    for item in sample("docker_list"):
        record = parse_image(item, "abcdesktop")
        assert read_record({"_id": bson.ObjectId(), **record.document()}) == record
        assert read_record(bson.decode(bson.encode(record.document()))) == record


def test_a_record_of_an_older_release_is_read() -> None:
    record = read_record(OLD)
    assert record is not None
    assert (record.args, record.executablefilename, record.displayname) == (("--new -x",), "xedit", "xedit")
    assert record.secrets_requirement == ("other/ntlm",)
    assert (record.fileextensions, record.containerengine) == ((), "ephemeral_container")
    assert "home" not in record.document()


@pytest.mark.parametrize("field", ["id", "sha_id", "name"])
def test_a_document_without_a_needed_field_is_skipped_by_name(field: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert read_record({**OLD, field: None}) is None
    assert "is skipped" in caplog.text
    assert ("abcdesktopio/xedit.d:3.0" in caplog.text) == (field != "id")


@pytest.mark.parametrize("acl", [None, [], "nonsense", 3, {}])
def test_a_stored_record_without_a_usable_access_list_is_for_nobody(acl: object) -> None:
    record = read_record({**OLD, "acl": acl})
    assert record is not None
    assert not permits(record.acl, ["all", "crew"])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(sorted(OLD)), JSON))
def test_no_document_makes_the_reader_crash(document: dict[str, Any]) -> None:
    read_record({**OLD, **document})
