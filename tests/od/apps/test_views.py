"""What a user sees of the catalogue and finds in it; what an operator finds."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oc.model.acl import permits
from oc.od.apps.icons import FALLBACK_FILE, file_icon
from oc.od.apps.inspect import parse_image
from oc.od.apps.model import Application
from oc.od.apps.snapshot import Catalogue, without_registry
from oc.od.apps.views import MAX_VIEWS, USER_FIELDS, UserView, ViewCache

Image = Callable[..., dict[str, Any]]

WEBSHELL = {
    "name": "WebShell",
    "id": "webshell.d",
    "icon": "webshell.svg",
    "launch": "frontendjs.webshell",
    "execmode": "frontendjs",
    "hideindock": True,
    "acl": {"permit": ["all"]},
}


def app(identifier: str, **fields: Any) -> Application:
    """An application everybody may run unless ``acl`` says otherwise."""
    name = fields.pop("name", identifier.rpartition("/")[2].partition(":")[0])
    defaults = {"launch": f"{name}.X", "icon": "i.svg", "icondata": "", "displayname": name, "acl": {"permit": ["all"]}}
    digest = fields.pop("sha_id", f"sha256:{hash(identifier) & (2**64 - 1):064x}")
    return Application(id=identifier, sha_id=digest, name=name, **{**defaults, **fields})


def view(*apps: Application, labels: tuple[str, ...] = (), dock: dict[str, Any] | None = None) -> UserView:
    return ViewCache(dock or {}, Path("nowhere")).view(Catalogue(apps), labels)


class TestTheListOfAUser:
    def test_every_entry_has_exactly_the_public_fields(self, image: Image, caplog: pytest.LogCaptureFixture) -> None:
        shown = view(parse_image(image(), "ns"), dock={"webshell": WEBSHELL})
        dock, application = shown.entries
        assert len(USER_FIELDS) == 25
        assert tuple(dock) == tuple(application) == USER_FIELDS
        assert (dock["id"], dock["hideindock"], dock["sha_id"]) == ("webshell.d", True, None)
        assert (application["mimetype"][0], application["hideindock"]) == (
            "application/vnd.oasis.opendocument.text",
            None,
        )
        assert json.loads(shown.json) == shown.entries

    def test_the_dock_comes_first_and_an_application_of_the_same_key_takes_its_place(self) -> None:
        dock = {"x:1": WEBSHELL, "other": {**WEBSHELL, "id": "other"}}
        shown = view(app("a:1"), app("x:1"), dock=dock)
        assert [entry["id"] for entry in shown.entries] == ["x:1", "other", "a:1"]
        assert shown.entries[0]["launch"] == "x.X"

    @pytest.mark.parametrize("acl", [None, "all", [], {"permit": "all"}, {}])
    def test_a_dock_entry_without_a_usable_access_list_is_hidden(self, acl: object) -> None:
        assert view(dock={"webshell": {**WEBSHELL, "acl": acl}}).entries == []

    def test_access_lists_decide_by_the_labels(self) -> None:
        apps = [
            app("all:1"),
            app("crew:1", acl={"permit": ["crew"]}),
            app("notguests:1", acl={"permit": ["all"], "deny": ["guests"]}),
            app("nobody:1", acl={"permit": ["all"], "deny": ["all"]}),
        ]
        assert [entry["id"] for entry in view(*apps).entries] == ["all:1", "notguests:1"]
        assert [entry["id"] for entry in view(*apps, labels=("crew",)).entries] == ["all:1", "crew:1", "notguests:1"]
        assert [entry["id"] for entry in view(*apps, labels=("crew", "guests")).entries] == ["all:1", "crew:1"]

    def test_labels_may_be_the_dict_of_an_identity(self) -> None:
        cache = ViewCache({}, Path("nowhere"))
        shown = cache.view(Catalogue([app("crew:1", acl={"permit": ["crew"]})]), {"crew": "true"})
        assert [entry["id"] for entry in shown.entries] == ["crew:1"]

    def test_labels_no_access_list_names_share_one_view(self) -> None:
        cache = ViewCache({}, Path("nowhere"))
        catalogue = Catalogue([app("a:1"), app("crew:1", acl={"permit": ["crew"]})])
        assert cache.view(catalogue, ["x"]) is cache.view(catalogue, ["y", "z"])
        assert cache.view(catalogue, ["crew", "x"]) is cache.view(catalogue, ["crew"])
        assert cache.view(catalogue, ["crew"]) is not cache.view(catalogue, [])

    def test_a_new_revision_gives_new_views_and_a_new_entity_tag(self) -> None:
        cache = ViewCache({}, Path("nowhere"))
        first = Catalogue([app("a:1")])
        second = first.with_changes([app("b:1")])
        assert len(cache.view(first, []).entries) == 1
        assert len(cache.view(second, []).entries) == 2
        assert cache.view(first, []).etag != cache.view(second, []).etag
        assert cache.view(first, []).etag == cache.view(Catalogue([app("a:1")]), []).etag

    def test_the_number_of_views_is_bounded(self) -> None:
        cache = ViewCache({}, Path("nowhere"))
        catalogue = Catalogue([app("a:1", acl={"permit": [f"l{n}" for n in range(2 * MAX_VIEWS)]})])
        for number in range(2 * MAX_VIEWS):
            assert len(cache.view(catalogue, [f"l{number}"]).entries) == 1
        assert len(cache._views) == MAX_VIEWS


LABELS = st.lists(st.sampled_from(["all", "crew", "guests", "staff"]), unique=True, max_size=4)


@given(
    acls=st.lists(st.fixed_dictionaries({}, optional={"permit": LABELS, "deny": LABELS}), max_size=6),
    labels=LABELS,
)
def test_a_user_sees_and_finds_exactly_what_the_access_lists_permit(
    acls: list[dict[str, Any]], labels: list[str]
) -> None:
    apps = [app(f"app{number}:1", acl=acl) for number, acl in enumerate(acls)]
    labels = [label for label in labels if label != "all"]
    shown = view(*apps, labels=tuple(labels))
    allowed = {app.id for app in apps if permits(app.acl, labels)}
    assert {entry["id"] for entry in shown.entries} == allowed
    for application in apps:
        for word in (application.id, application.name, application.launch):
            assert (shown.find(word) is not None) == (application.id in allowed)


class TestTheSearchForALaunch:
    def test_the_id_wins_over_a_name_and_a_name_over_a_mime_type(self) -> None:
        byid, byname = app("word", name="first"), app("z:1", name="word")
        bymime = app("m:1", name="m", mimetype=("word", "text/plain"))
        assert view(byid, byname, bymime).find("word") is byid
        assert view(byname, bymime).find("word") is byname
        assert view(bymime).find("word") is bymime

    def test_name_launch_path_and_program_are_searched(self) -> None:
        one = app("a:1", name="n", launch="l.L", path="/usr/bin/p", executablefilename="p")
        for word in ("n", "l.L", "/usr/bin/p", "p"):
            assert view(one).find(word) is one
        assert view(one).find("P") is None
        assert view(one).find("") is None

    def test_of_several_the_first_id_is_taken_whatever_the_order_of_loading(self) -> None:
        one, two = app("a:1", path="/same"), app("b:1", path="/same")
        assert view(one, two).find("/same") is one
        assert view(two, one).find("/same") is one

    def test_the_first_claims_a_mime_type_and_the_last_default_application_takes_it(self) -> None:
        first, second = app("a:1", mimetype=("t/a", "t/b")), app("b:1", mimetype=("t/a",))
        third = app("c:1", mimetype=("t/a",), usedefaultapplication=True)
        fourth = app("d:1", mimetype=("t/a",), usedefaultapplication=True)
        assert view(first, second).find("t/a") is first
        assert view(first, second, third).find("t/a") is third
        assert view(first, second, third, fourth).find("t/a") is fourth
        assert view(first, second, third, fourth).find("t/b") is first

    def test_a_word_with_a_dot_may_be_a_file_extension_by_the_same_rule(self) -> None:
        first = app("a:1", fileextensions=("odt", "DOCX"))
        second = app("b:1", fileextensions=(".odt",), usedefaultapplication=True)
        assert view(first).file_extensions == {"odt": first, "docx": first}
        assert view(first, second).find(".odt") is second
        assert view(first, second).find(".Docx") is first
        assert view(first).find("odt") is None
        assert view(first).find(".") is None
        named = app("c:1", launch=".odt")
        assert view(first, named).find(".odt") is named

    def test_extensions_of_hidden_applications_are_not_found(self) -> None:
        assert view(app("a:1", fileextensions=("odt",), acl={"permit": ["crew"]})).find(".odt") is None


class TestTheSearchOfAnOperator:
    CATALOGUE = Catalogue(
        [
            app("abcdesktopio/x:1", sha_id="sha256:" + "a" * 64),
            app("ghcr.io/abcdesktopio/y:1", sha_id="sha256:" + "b" * 64),
            app("one/twin:1", name="twin", sha_id="sha256:" + "c" * 64),
            app("two/twin:1", name="twin", sha_id="sha256:" + "c" * 64),
        ]
    )

    @pytest.mark.parametrize(
        ("word", "expected"),
        [
            ("abcdesktopio/x:1", "abcdesktopio/x:1"),
            ("sha256:" + "a" * 64, "abcdesktopio/x:1"),
            ("a" * 64, "abcdesktopio/x:1"),
            ("docker.io/abcdesktopio/x:1", "abcdesktopio/x:1"),
            ("localhost:5000/abcdesktopio/x:1", "abcdesktopio/x:1"),
            ("abcdesktopio/y:1", "ghcr.io/abcdesktopio/y:1"),
            ("x", "abcdesktopio/x:1"),
            ("c" * 64, "one/twin:1"),
            ("twin", None),
            ("a" * 12, None),
            ("other/abcdesktopio/x:1", None),
            ("", None),
        ],
    )
    def test_an_application_is_found_by_id_digest_bare_id_and_unique_name(
        self, word: str, expected: str | None
    ) -> None:
        found = self.CATALOGUE.find_for_operator(word)
        assert (found.id if found else None) == expected

    @pytest.mark.parametrize(
        ("image", "expected"),
        [
            ("ghcr.io/abcdesktopio/y:1", "ghcr.io/abcdesktopio/y:1"),
            ("docker.io/abcdesktopio/x:1", "abcdesktopio/x:1"),
            ("sha256:" + "b" * 64, "ghcr.io/abcdesktopio/y:1"),
            ("b" * 64, "ghcr.io/abcdesktopio/y:1"),
            ("docker.io/abcdesktopio/z:1", None),
            ("x", None),
        ],
    )
    def test_an_image_is_found_as_a_container_runtime_names_it(self, image: str, expected: str | None) -> None:
        found = self.CATALOGUE.find_by_image(image)
        assert (found.id if found else None) == expected

    @pytest.mark.parametrize(
        ("identifier", "bare"),
        [("docker.io/a/b:1", "a/b:1"), ("a/b:1", "a/b:1"), ("h:5000/b", "b"), ("localhost/b", "b"), ("b:1", "b:1")],
    )
    def test_a_registry_host_is_recognised_as_image_references_do(self, identifier: str, bare: str) -> None:
        assert without_registry(identifier) == bare


class TestSnapshots:
    def test_the_same_content_is_the_same_snapshot(self) -> None:
        first = Catalogue([app("a:1")])
        assert first.replaced_by([app("a:1")]) is first
        assert first.with_changes([app("a:1")]) is first
        assert first.with_changes(removed=["unknown"]) is first

    def test_a_change_makes_a_new_one_and_leaves_the_old_alone(self) -> None:
        first = Catalogue([app("a:1"), app("b:1")])
        second = first.with_changes([app("a:1", cat="games"), app("0:1")], removed=["b:1"])
        assert list(second.by_id) == ["0:1", "a:1"]
        assert (second.by_id["a:1"].cat, second.revision) == ("games", first.revision + 1)
        assert list(first.by_id) == ["a:1", "b:1"]
        with pytest.raises(TypeError):
            first.by_id["c:1"] = app("c:1")  # type: ignore[index]


class TestIconFiles:
    @pytest.fixture
    def icons(self, tmp_path: Path) -> Path:
        directory = tmp_path / "icons"
        directory.mkdir()
        (tmp_path / "secret.svg").write_bytes(b"secret")
        (directory / "shell.png").write_bytes(b"\x89PNG")
        (directory / "link.svg").symlink_to(tmp_path / "secret.svg")
        return directory

    def test_a_file_is_read_as_bytes(self, icons: Path) -> None:
        assert base64.b64decode(file_icon(icons, "shell.png") or "") == b"\x89PNG"

    @pytest.mark.parametrize(
        "name", ["none.svg", "../secret.svg", "/etc/passwd", "link.svg", "", "a\0", ".", None, 3, "x" * 5000]
    )
    def test_a_missing_file_or_one_outside_gives_the_default_icon_and_an_error(
        self, icons: Path, name: object, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.ERROR):
            assert file_icon(icons, name) is None
        assert "icon file" in caplog.text
        (icons / FALLBACK_FILE).write_bytes(b"<svg/>")
        assert base64.b64decode(file_icon(icons, name) or "") == b"<svg/>"
