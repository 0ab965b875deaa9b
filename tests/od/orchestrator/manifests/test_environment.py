"""The environment list: names checked, values literal, nulls left out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from oc.od.orchestrator.manifests.environment import MAX_VALUE, Environment, set_locale

from .support import PATIENT


def values(env: Environment) -> dict[str, str]:
    return {item["name"]: item["value"] for item in env.manifest()}


def expanded(text: str) -> str:
    """What the kubelet makes of a value when no variable of the container is named in it (expansion.Expand)."""
    result, position = "", 0
    while position < len(text):
        if text.startswith("$$", position):
            result, position = result + "$", position + 2
        elif text.startswith("$(", position) and ")" in text[position:]:
            result, position = result + "EXPANDED", text.index(")", position) + 1
        else:
            result, position = result + text[position], position + 1
    return result


@PATIENT
@given(st.text(alphabet="$()ab{}\\'\" ", max_size=30))
def test_a_value_from_outside_reaches_the_container_as_it_is(value: str) -> None:
    env = Environment()
    env.set(NAME=value)
    assert expanded(values(env).get("NAME", "")) == value


def test_a_configured_value_may_refer_to_another_variable() -> None:
    env = Environment()
    env.configure({"A": "$(B)", "C": "{{ uid }}-{{ nope }}", "D": None, "E": 5}, {"uid": "fry"})
    assert values(env) == {"A": "$(B)", "C": "fry-", "E": "5"}


def test_null_and_empty_leave_a_variable_out() -> None:
    env = Environment()
    env.set(A=None, B="", C=0, D="x")
    assert values(env) == {"C": "0", "D": "x"}


def test_a_later_value_takes_the_place_of_the_earlier_one() -> None:
    env = Environment()
    env.set(A="1", B="2")
    env.set(A="3")
    assert env.manifest() == [{"name": "A", "value": "3"}, {"name": "B", "value": "2"}]


def test_values_from_a_script_are_checked_and_become_text() -> None:
    env = Environment()
    env.merge(
        {"OK": "x", "NUMBER": 1, "FLAG": True, "LIST": [1], "NONE": None, "A=B": "x", "": "x", "1A": "x", "a b": "x"}
    )
    assert values(env) == {"OK": "x", "NUMBER": "1", "FLAG": "true", "LIST": "[1]"}
    assert len(env.warnings) == 4


def test_a_value_too_long_is_left_out_and_not_shown() -> None:
    env = Environment()
    env.set(A="hidden" * MAX_VALUE)
    assert env.manifest() == []
    assert "hidden" not in env.warnings[0]


def test_no_value_holds_a_nul() -> None:
    env = Environment()
    env.set(A="a\0b")
    env.configure({"B": "a{{ x }}b"}, {"x": "\0"})
    assert values(env) == {"A": "ab", "B": "ab"}


def test_labels_are_lower_case_and_only_usable_names_count() -> None:
    env = Environment()
    env.labels({"Set_Default_Wallpaper": "a.jpg", "with-dash": "x", "XauthKey": "forged", "empty": "", "été": "x"})
    assert values(env) == {"ABCDESKTOP_LABEL_set_default_wallpaper": "a.jpg"}


def test_the_locale_gives_three_variables_or_none() -> None:
    env = Environment()
    set_locale(env, "fr_FR")
    assert values(env) == {"LANGUAGE": "fr_FR", "LANG": "fr_FR.UTF-8", "LC_ALL": "fr_FR.UTF-8"}
    nothing = Environment()
    set_locale(nothing, "")
    assert nothing.manifest() == []


def test_the_manifest_is_fresh_every_time() -> None:
    env = Environment()
    env.set(A="1")
    env.references()
    env.manifest()[0]["value"] = "changed"
    assert env.manifest()[0]["value"] == "1"
    assert [item["name"] for item in env.manifest()][1:] == ["NODE_NAME", "POD_NAME", "POD_NAMESPACE", "POD_IP"]
