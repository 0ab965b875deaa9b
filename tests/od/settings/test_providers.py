"""Login managers and providers: references, names, and what is said about misspelt keys."""

from __future__ import annotations

import pytest

from oc.od.settings import MANAGER_NAMES, Settings, settings_from_mapping

from .support import Loader, found

PLANET = {"servers": ["openldap"], "default": True, "serviceaccount": {"login": "l", "password": "p"}}


def load_providers(manager: str, providers: object, **more: object) -> Settings:
    return settings_from_mapping({"authmanagers": {manager: {"providers": providers}}, **more})


def test_all_four_managers_are_there_in_look_up_order() -> None:
    given = {"implicit": {"providers": {"anonymous": {}}}, "explicit": {}}
    managers = settings_from_mapping({"authmanagers": given}).auth.managers
    assert tuple(managers) == MANAGER_NAMES == ("external", "metaexplicit", "explicit", "implicit")
    assert managers["external"].providers == {}


def test_an_unknown_manager_is_ignored_with_a_warning() -> None:
    settings = settings_from_mapping({"authmanagers": {"custom.module.Class": {"class": "os.system"}}})
    assert set(settings.auth.managers) == set(MANAGER_NAMES)
    assert "authmanagers.custom.module.Class" in found(settings)


@pytest.mark.parametrize("manager", MANAGER_NAMES)
def test_a_reference_is_merged_over_the_provider_in_every_manager(manager: str) -> None:
    settings = load_providers(
        manager,
        {"planet": {"config_ref": "directory", "servers": ["own"], "caption": "mine"}},
        directory={"planet": PLANET},
    )
    provider = settings.auth.managers[manager].providers["planet"]
    assert provider["servers"] == ["openldap"]
    assert provider["caption"] == "mine"
    assert "directory" not in found(settings)


def test_the_entry_with_the_name_of_the_provider_is_preferred_to_the_first() -> None:
    directory = {"first": {"servers": ["a"]}, "planet": {"servers": ["b"]}}
    settings = load_providers("explicit", {"planet": {"config_ref": "d"}, "other": {"config_ref": "d"}}, d=directory)
    providers = settings.auth.managers["explicit"].providers
    assert providers["planet"]["servers"] == ["b"]
    assert providers["other"]["servers"] == ["a"]


def test_a_reference_does_not_change_the_dict_it_names() -> None:
    directory: dict[str, object] = {"planet": {"servers": ["a"]}}
    load_providers("explicit", {"planet": {"config_ref": "d", "caption": "c"}}, d=directory)
    assert directory == {"planet": {"servers": ["a"]}}


def test_the_order_of_providers_is_kept() -> None:
    names = ["zeta", "alpha", "mu"]
    settings = load_providers("implicit", {name: {} for name in names})
    assert list(settings.auth.providers("implicit")) == names


def test_disabled_providers_and_managers_are_left_out() -> None:
    given = {
        "implicit": {"providers": {"on": {}, "off": {"enabled": False}, "odd": {"enabled": "yes"}}},
        "explicit": {"enabled": False, "providers": {"x": {}}},
    }
    auth = settings_from_mapping({"authmanagers": given}).auth
    assert list(auth.providers("implicit")) == ["on"]
    assert auth.providers("explicit") == {}
    assert auth.providers("nobody") == {}


def test_a_provider_that_is_no_dict_is_left_out_and_the_others_stay() -> None:
    settings = load_providers("implicit", {"good": {}, "bad": "anonymous"})
    assert list(settings.auth.managers["implicit"].providers) == ["good"]
    assert "left out" in found(settings)["authmanagers.implicit.providers.bad"]


@pytest.mark.parametrize(
    ("manager", "key", "suggestion"),
    [
        ("external", "client_secrets", "client_secret"),
        ("external", "servers", None),
        ("explicit", "server", "servers"),
        ("explicit", "enable", "enabled"),
        ("implicit", "user_name", "username"),
        ("metaexplicit", "foreign_base", "foreign_basedn"),
    ],
)
def test_a_misspelt_provider_key_is_pointed_out(manager: str, key: str, suggestion: str | None) -> None:
    text = found(load_providers(manager, {"p": {key: "x"}}))[f"authmanagers.{manager}.providers.p.{key}"]
    assert "unknown key" in text
    assert suggestion is None or f"'{suggestion}'" in text


@pytest.mark.parametrize(
    ("key", "value"),
    [("servers", 5), ("ldap_timeout", "soon"), ("policies", []), ("query_dcs", "yes"), ("serviceaccount", "me")],
)
def test_a_wrong_type_in_a_provider_is_a_warning_and_the_value_stays(key: str, value: object) -> None:
    settings = load_providers("explicit", {"p": {key: value}})
    assert f"authmanagers.explicit.providers.p.{key}" in found(settings)
    assert settings.auth.managers["explicit"].providers["p"][key] == value


@pytest.mark.parametrize("key", ["goups_ou", "groups_ou", "foreingmemberof_basedn", "foreignmemberof_basedn", "basedn"])
def test_both_spellings_of_directory_keys_are_known(key: str) -> None:
    assert found(load_providers("metaexplicit", {"metadirectory": {key: "ou=x"}})) == {}


def test_acls_that_say_nothing_are_no_finding_and_acls_that_say_something_are() -> None:
    assert found(load_providers("explicit", {"p": {"policies": {"acls": None}}})) == {}
    settings = load_providers("explicit", {"p": {"policies": {"acls": {"permit": ["all"]}, "rule": {}}}})
    assert set(found(settings)) == {
        "authmanagers.explicit.providers.p.policies.acls",
        "authmanagers.explicit.providers.p.policies.rule",
    }


def test_users_of_two_providers_are_kept_apart_unless_a_provider_approves_another() -> None:
    assert settings_from_mapping({}).desktop.authproviderneverchange is True
    assert settings_from_mapping({"desktop.authproviderneverchange": False}).desktop.authproviderneverchange is False
    approving = {"implicit": {"providers": {"sso": {"explicitproviderapproval": "planet"}}}}
    settings = settings_from_mapping({"authmanagers": approving})
    assert settings.desktop.authproviderneverchange is False
    assert found(settings) == {}
    settings = settings_from_mapping({"authmanagers": approving, "desktop.authproviderneverchange": True})
    assert settings.desktop.authproviderneverchange is False
    assert "desktop.authproviderneverchange" in found(settings)


def test_a_finding_about_a_referenced_value_names_the_line_it_stands_in(load: Loader) -> None:
    settings = load(
        "authmanagers: { 'explicit': { 'providers': { 'p': { 'config_ref': 'mydir' } } } }\n"
        "mydir: { 'p': {\n  'servers': [ 'a' ],\n  'ldap_timeout': 'soon' } }\n"
    )
    (problem,) = [p for p in settings.warnings if p.key.endswith("ldap_timeout")]
    assert problem.line == 8


def test_provider_dicts_are_not_in_the_repr() -> None:
    settings = load_providers("external", {"google": {"client_secret": "hunter2"}})
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in repr(settings.auth.managers)
