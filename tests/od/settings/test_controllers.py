"""Controller policies: private networks by default, derived store values."""

from __future__ import annotations

import pytest

from oc.od.settings import PRIVATE_NETWORKS, ConfigurationError, ControllerPolicy, settings_from_mapping

from .support import Loader


def policies(given: object, **more: object) -> dict[str, ControllerPolicy]:
    return dict(settings_from_mapping({"controllers": given, **more}).controllers)


@pytest.mark.parametrize("name", ["ManagerController", "AccountingController", "KeyController"])
@pytest.mark.parametrize("entry", [None, {}, {"apikey": ["k"]}, {"enable": True}])
def test_administration_is_open_to_private_networks_only_unless_permitip_is_set(
    name: str, entry: dict[str, object] | None
) -> None:
    given = {} if entry is None else {name: entry}
    assert policies(given)[name].permitip == PRIVATE_NETWORKS


@pytest.mark.parametrize("name", ["ManagerController", "AccountingController", "KeyController"])
def test_an_explicit_none_opens_administration_to_every_source(name: str) -> None:
    assert policies({name: {"permitip": None}})[name].permitip is None


def test_an_empty_list_lets_nobody_in() -> None:
    assert policies({"ManagerController": {"permitip": []}})["ManagerController"].permitip == ()


def test_the_private_networks_are_those_of_the_contract() -> None:
    assert [str(network) for network in PRIVATE_NETWORKS] == [
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "fd00::/8",
        "169.254.0.0/16",
        "127.0.0.0/8",
    ]


def test_other_controllers_have_no_source_filter_by_default() -> None:
    assert policies({"UserController": {}})["UserController"].permitip is None
    assert "UserController" not in policies({})


def test_the_whole_key_may_be_absent() -> None:
    defaults = settings_from_mapping({}).controllers
    assert set(defaults) == {"ManagerController", "AccountingController", "KeyController", "StoreController"}
    assert defaults["ManagerController"].permitip == PRIVATE_NETWORKS
    assert defaults["StoreController"].wrapped_key == {}


def test_a_policy_is_enabled_and_asks_for_no_key_by_default() -> None:
    policy = policies({"UserController": {}})["UserController"]
    assert policy == ControllerPolicy()
    assert (policy.enable, policy.apikey, policy.requestsallowed, policy.database_acl) == (True, None, {}, ())


def test_an_empty_list_of_keys_is_kept_apart_from_none() -> None:
    assert policies({"UserController": {"apikey": []}})["UserController"].apikey == ()


def test_requests_may_be_allowed_refused_or_left_open() -> None:
    given = {"ComposerController": {"requestsallowed": {"a": False, "b": True, "c": None}}}
    assert policies(given)["ComposerController"].requestsallowed == {"a": False, "b": True, "c": None}


@pytest.mark.parametrize(
    ("granted", "may"),
    [
        ([], set()),
        (["get"], {"get", "read"}),
        (["read"], {"get", "read"}),
        (["put"], {"put", "write"}),
        (["write"], {"put", "write"}),
        (["delete"], {"delete"}),
        (["get", "delete"], {"get", "read", "delete"}),
    ],
)
def test_database_verbs_have_synonyms(granted: list[str], may: set[str]) -> None:
    policy = policies({"ManagerController": {"database_acl": granted}})["ManagerController"]
    assert {verb for verb in ("get", "read", "put", "write", "delete") if policy.may(verb)} == may


def test_colour_and_wallpaper_of_the_environment_become_store_defaults() -> None:
    environment = {"SET_DEFAULT_COLOR": "#123456", "SET_DEFAULT_WALLPAPER": "sea.png"}
    given = {"StoreController": {"wrapped_key": {"color": "red", "backgroundType": "color", "other": [1]}}}
    wrapped = policies(given, **{"desktop.envlocal": environment})["StoreController"].wrapped_key
    assert wrapped == {"color": "#123456", "backgroundType": "img", "other": [1]}


def test_without_those_variables_configured_store_defaults_stay() -> None:
    given = {"StoreController": {"wrapped_key": {"color": "red"}}}
    assert policies(given)["StoreController"].wrapped_key == {"color": "red"}


def test_api_keys_are_not_in_the_repr(load: Loader) -> None:
    policy = load("controllers: { 'ManagerController': { 'apikey': [ 'hunter2' ] } }\n").controllers[
        "ManagerController"
    ]
    assert policy.apikey == ("hunter2",)
    assert "hunter2" not in repr(policy)


def test_a_key_may_stand_in_a_file_that_is_not_opened_while_loading() -> None:
    given = {
        "ManagerController": {"apikey": ["file:///nowhere/key", "literal"]},
        "DesktopController": {"authdnskey": "file:///nowhere/dns"},
    }
    found = policies(given)
    assert found["ManagerController"].apikey == ("file:///nowhere/key", "literal")
    assert found["DesktopController"].authdnskey == "file:///nowhere/dns"


@pytest.mark.parametrize("entry", ["file://", "file:///", "file://host/key", "file://key"])
@pytest.mark.parametrize("key", ["apikey", "authdnskey"])
def test_a_file_is_named_by_its_absolute_path(entry: str, key: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"{key}.*expected file:///path"):
        policies({"DesktopController": {key: [entry] if key == "apikey" else entry}})
