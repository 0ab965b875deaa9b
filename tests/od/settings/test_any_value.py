"""Whatever stands in a file, loading ends in settings or in a `ConfigurationError`, never in a crash."""

from __future__ import annotations

import copy
import datetime
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oc.od.settings import ConfigurationError, Problem, Settings, settings_from_mapping
from oc.od.settings.declaration import all_options, options_of
from oc.od.settings.masking import effective, render
from oc.od.settings.pod import ENTRY_NAMES
from oc.od.settings.pod_containers import ContainerSettings
from oc.od.settings.provider_keys import PROVIDER_KEYS

KEYS = sorted({name for option in all_options(Settings) for name in (option.key, *option.aliases)})
NESTED = sorted(
    {inner.key for option in all_options(Settings) if (cls := option.kind.nested()) for _, inner in options_of(cls)}
    | {inner.key for _, inner in options_of(ContainerSettings)}
    | {key.key for keys in PROVIDER_KEYS.values() for key in keys}
    | {*ENTRY_NAMES, "default", "spec", "providers", "explicit", "external", "ManagerController", "emptyDir", "limits"}
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.binary(max_size=4)
    | st.sampled_from(["10.0.0.0/8", "http://x.org", "mongodb://h", "auto", "all", "8Gi", "bridge", "default_host_url"])
    | st.just(datetime.date(2026, 1, 1))
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(NESTED) | st.text(max_size=6), inner, max_size=4)
        | st.dictionaries(st.integers() | st.none(), inner, max_size=1)
    ),
    max_leaves=12,
)

WRONG: list[object] = [
    *(None, True, 0, -1, 1.5, float("nan"), "", "x", "\0", "x" * 100_000, b"x"),
    *([], [None], {}, {"x": None}, {1: 2}, set(), object()),
]


def outcome(values: dict[str, object]) -> Settings | list[Problem]:
    """The settings, or the errors: anything else raised fails the test."""
    try:
        return settings_from_mapping(values)
    except ConfigurationError as error:
        return [problem for problem in error.problems if problem.text]


@settings(max_examples=200)
@given(st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=10), VALUES, max_size=4))
def test_any_values_are_loaded_or_refused(values: dict[str, object]) -> None:
    before = repr(values)
    loaded = outcome(values)
    if isinstance(loaded, Settings):
        assert render(loaded).startswith("[global]\n")
    assert repr(values) == before


@pytest.mark.parametrize("key", KEYS)
def test_a_wrong_value_of_any_key_is_no_crash_and_blames_no_other_key(key: str) -> None:
    for value in WRONG:
        problems = outcome({key: value})
        if not isinstance(problems, Settings):
            assert {problem.key.partition("[")[0].split(".")[0] for problem in problems} == {key.split(".")[0]}


def test_settings_can_be_copied_and_pickled() -> None:
    loaded = settings_from_mapping({"desktop.userpasswd": "x"})
    assert copy.deepcopy(loaded) == loaded
    assert pickle.loads(pickle.dumps(loaded)) == loaded


def test_settings_do_not_share_their_defaults() -> None:
    first, second = settings_from_mapping({}), settings_from_mapping({})
    assert first.pod.default_volumes is not second.pod.default_volumes
    assert first.pod.default_volumes["shm"] is not second.pod.default_volumes["shm"]
    assert first.desktop.envlocal is not second.desktop.envlocal
    assert effective(first)["desktop.pod"] == effective(second)["desktop.pod"]


def test_settings_do_not_share_what_they_were_given() -> None:
    policies = {"rules": {"network": {"default": {"annotations": {"a": "b"}}}}}
    loaded = settings_from_mapping({"desktop.policies": policies})
    policies["rules"]["network"]["default"]["annotations"]["a"] = "changed"
    assert loaded.policies.rules.network["default"] == {"annotations": {"a": "b"}}


def test_settings_cannot_be_changed() -> None:
    loaded = settings_from_mapping({})
    with pytest.raises(AttributeError):
        loaded.server.socket_port = 1  # type: ignore[misc]
