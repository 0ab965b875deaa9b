"""Mustache substitution: copies, no HTML, unknown names empty, and no value that leaves its place."""

from __future__ import annotations

import copy
import dataclasses
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oc.od.orchestrator.manifests import templates
from oc.od.orchestrator.manifests.types import ManifestError

from .people import FRY, FRY_ACCOUNT
from .support import PATIENT


def test_html_is_not_escaped() -> None:
    assert templates.render("{{ a }}|{{{ a }}}|{{& a }}", {"a": "<\"&'>"}) == "<\"&'>|<\"&'>|<\"&'>"


def test_an_unknown_name_gives_nothing() -> None:
    assert templates.render("a{{ nope }}b{{ no.pe }}c", {"x": 1}) == "abc"


def test_none_and_false_give_nothing_and_numbers_their_digits() -> None:
    assert templates.render("{{ a }},{{ b }},{{ c }},{{ d }}", {"a": None, "b": False, "c": 0, "d": True}) == ",,0,true"


def test_rendering_is_recursive_and_leaves_other_values_alone() -> None:
    template = {"a": ["{{ x }}", 1, None, {"b": "{{ x }}{{ x }}"}], "c": True}
    before = copy.deepcopy(template)
    assert templates.render(template, {"x": "y"}) == {"a": ["y", 1, None, {"b": "yy"}], "c": True}
    assert template == before


def test_what_is_rendered_shares_nothing_with_the_template() -> None:
    template = {"a": [{"b": "c"}]}
    templates.render(template, {})["a"][0]["b"] = "changed"
    assert template == {"a": [{"b": "c"}]}


def test_a_value_is_never_rendered_again() -> None:
    assert templates.render("{{ a }}", {"a": "{{ b }}", "b": "secret"}) == "{{ b }}"


def test_sections_go_over_the_groups_of_an_account() -> None:
    context = templates.posix_context(FRY_ACCOUNT)
    assert templates.render("{{# groups }}{{ cn }}={{ gidNumber }};{{/ groups }}", context) == "ship_crew=13000;"


def test_templates_know_every_field_of_an_account() -> None:
    assert templates.posix_context(FRY_ACCOUNT).keys() == {field.name for field in dataclasses.fields(FRY_ACCOUNT)}


def test_a_partial_reads_no_file() -> None:
    assert templates.render("a{{> pyproject }}b{{> ../../etc/passwd }}", {}) == "ab"


@pytest.mark.parametrize("template", ["{{# a }}", "{{ a", "{{/ a }}", "{{# a }}{{/ b }}"])
def test_a_broken_template_is_refused_without_showing_a_value(template: str) -> None:
    with pytest.raises(ManifestError) as caught:
        templates.render(template, {"a": "hidden"})
    assert "hidden" not in f"{caught.value} {caught.value.doing}"


def test_a_template_nested_without_end_is_refused() -> None:
    nested: list[object] = []
    for _ in range(100):
        nested = [nested]
    with pytest.raises(ManifestError):
        templates.render(nested, {})


@PATIENT
@given(st.text())
def test_a_value_in_a_command_holds_no_character_with_a_meaning_to_a_shell(value: str) -> None:
    made = templates.render("echo {{ v }}", {"v": value}, templates.command)
    assert re.search(r"[\s$`\"'\\;&|<>(){}\[\]*?!#~\0]", made.removeprefix("echo ")) is None


@PATIENT
@given(st.text(), st.sampled_from(["userid", "name", "homeDirectory"]))
def test_a_value_in_a_volume_never_climbs_out_of_its_directory(value: str, name: str) -> None:
    made = templates.render(f"/homes/{{{{ {name} }}}}", {name: value}, templates.volume)
    assert ".." not in made.split("/")
    assert "#" not in made
    if name != "homeDirectory":
        assert made.count("/") == 2


def test_a_home_directory_keeps_its_separators_in_a_volume() -> None:
    assert templates.render("{{ homeDirectory }}", {"homeDirectory": "/home/fry"}, templates.volume) == "/home/fry"


def test_a_label_hides_no_name_of_a_storage_template() -> None:
    context = templates.storage_context(FRY, FRY_ACCOUNT, uuid="3af1c", locale="en_US")
    forged = {**FRY.labels, "userid": "leela", "provider": "other", "uidNumber": "0"}
    hostile = type(FRY)("Planet", "ldap", "fry", "Fry", forged)
    assert templates.storage_context(hostile, FRY_ACCOUNT, uuid="3af1c")["userid"] == "fry"
    assert templates.storage_context(hostile, FRY_ACCOUNT, uuid="3af1c")["provider"] == "planet"
    assert templates.storage_context(hostile, FRY_ACCOUNT, uuid="3af1c")["uidNumber"] == 2042
    assert context["shipcrew"] == "true"
    assert context["uuid"] == "3af1c"
