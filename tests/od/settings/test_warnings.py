"""What the loader repairs, ignores or advises against, and says so."""

from __future__ import annotations

import pytest

from oc.od.settings import Level

from .support import FIRST_LINE, Loader, found

POD = "[global]\ndefault_host_url: 'http://x.org'\ndesktop.userpasswd: 'x'\n"


@pytest.mark.parametrize(
    ("text", "key", "suggestion"),
    [
        ("sever.socket_port: 1", "sever.socket_port", "server.socket_port"),
        ("default_hosturl: 'x'", "default_hosturl", "default_host_url"),
        ("K8S_CREATE_POD_TIMEOUT_SECOND: 1", "K8S_CREATE_POD_TIMEOUT_SECOND", "K8S_CREATE_POD_TIMEOUT_SECONDS"),
        ("desktop.hostpathroot: '/x'", "desktop.hostpathroot", "desktop.hostPathRoot"),
        ("authmanager: {}", "authmanager", "authmanagers"),
        ("fail2ban: { 'failbeforeban': 3 }", "fail2ban.failbeforeban", "failsbeforeban"),
        ("jwt_token_user: { 'expp': 3 }", "jwt_token_user.expp", "exp"),
        ("controllers: { 'ManagerControler': {} }", "controllers.ManagerControler", "ManagerController"),
        (
            "controllers: { 'StoreController': { 'permit_ip': [] } }",
            "controllers.StoreController.permit_ip",
            "permitip",
        ),
        ("authmanagers: { 'explict': {} }", "authmanagers.explict", "explicit"),
        ("desktop.policies: { 'rule': {} }", "desktop.policies.rule", "rules"),
        ("desktop.policies: { 'rules': { 'networks': {} } }", "desktop.policies.rules.networks", "network"),
        ("executeclasses: { 'default': { 'resource': {} } }", "executeclasses.default.resource", "resources"),
        ("geolocation: { 'timeOut': 1 }", "geolocation.timeOut", "timeout"),
        ("desktop.description: { 'internal_ip': 'eth0' }", "desktop.description.internal_ip", "internalip"),
    ],
)
def test_an_unknown_key_is_ignored_with_the_nearest_known_name(
    load: Loader, text: str, key: str, suggestion: str
) -> None:
    settings = load(text + "\n")
    assert f"Did you mean '{suggestion}'?" in found(settings)[key]
    assert [problem.line for problem in settings.warnings] == [FIRST_LINE]


@pytest.mark.parametrize(
    ("entry", "key", "suggestion"),
    [
        ("'graphical': { 'tcp_port': 1 }", "graphical.tcp_port", "tcpport"),
        ("'graphical': { 'volume': [] }", "graphical.volume", "volumes"),
        ("'graphical': { 'acl': { 'permits': [] } }", "graphical.acl.permits", "permit"),
        ("'graphical': { 'securityContext': { 'runAsuser': 0 } }", "graphical.securityContext.runAsuser", "runAsUser"),
        ("'graphical': { 'resources': { 'limit': {} } }", "graphical.resources.limit", "limits"),
        ("'spec': { 'shareProcessNameSpace': True }", "spec.shareProcessNameSpace", "shareProcessNamespace"),
        ("'graphcal': { }", "graphcal", "graphical"),
        ("'default_volume': { }", "default_volume", None),
    ],
)
def test_an_unknown_key_inside_the_pod_is_found_too(load: Loader, entry: str, key: str, suggestion: str | None) -> None:
    settings = load(f"{POD}desktop.pod: {{ {entry} }}\n", whole=True)
    text = found(settings)[f"desktop.pod.{key}"]
    assert suggestion is None or f"Did you mean '{suggestion}'?" in text


def test_an_unknown_key_far_from_all_others_gets_no_suggestion(load: Loader) -> None:
    assert found(load("zzzzzz: 1\n")) == {"zzzzzz": "unknown key, ignored"}


def test_keys_of_the_web_server_are_passed_on_without_a_word(load: Loader) -> None:
    settings = load(
        "server.socket_timeout: 30\nengine.autoreload.on: False\ntools.log_full.on: True\nenvironment: 'production'\n"
    )
    assert settings.warnings == ()
    assert settings.server.cherrypy == {
        "server.socket_timeout": 30,
        "engine.autoreload.on": False,
        "tools.log_full.on": True,
        "environment": "production",
    }


def test_a_server_key_nobody_knows_is_passed_on_with_a_suggestion(load: Loader) -> None:
    settings = load("server.thread_pol: 5\n")
    assert "Did you mean 'server.thread_pool'?" in found(settings)["server.thread_pol"]
    assert settings.server.cherrypy == {"server.thread_pol": 5}


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("memcacheport: '11211'", "memcacheport"),
        ("desktop.userid: '4096'", "desktop.userid"),
        ("jwt_token_user: { 'exp': '360' }", "jwt_token_user.exp"),
    ],
)
def test_a_number_in_quotes_is_converted_with_a_warning(load: Loader, text: str, key: str) -> None:
    settings = load(text + "\n")
    assert "write it without quotes" in found(settings)[key]
    assert (settings.memcached.port, settings.account.userid) == (11211, 4096)


def test_a_public_url_that_is_none_counts_as_absent(load: Loader) -> None:
    settings = load("[global]\ndesktop.pod: {}\ndefault_host_url: 'localhost'\n", whole=True)
    assert settings.http.default_host_url is None
    assert "treated as absent" in " ".join(p.text for p in settings.warnings if p.key == "default_host_url")


def test_a_missing_public_url_is_advised(load: Loader) -> None:
    assert "login redirects" in found(load("[global]\ndesktop.pod: {}\n", whole=True), Level.ADVICE)["default_host_url"]


def test_a_public_url_with_a_path_is_advised_against(load: Loader) -> None:
    for url, advised in (("https://x.org/desk", True), ("https://x.org/", False), ("https://x.org:8443", False)):
        settings = load(f"[global]\ndesktop.pod: {{}}\ndefault_host_url: '{url}'\n", whole=True)
        assert ("default_host_url" in found(settings, Level.ADVICE)) is advised
        assert settings.http.secured is True


def test_a_bad_geolocation_address_falls_back_to_the_public_url(load: Loader) -> None:
    settings = load("server.geolocation_ipaddr: 'here'\n")
    assert settings.server.geolocation_ipaddr is None
    assert "server.geolocation_ipaddr" in found(settings)


@pytest.mark.parametrize("default", ["None", "[]", "'x'"])
def test_a_default_execute_class_that_is_no_dict_is_replaced(load: Loader, default: str) -> None:
    settings = load(f"executeclasses: {{ 'default': {default}, 'gold': {{ 'description': 'g' }} }}\n")
    assert "a class without resources is used" in found(settings)["executeclasses.default"]
    assert settings.executeclasses["default"].description == "default description"
    assert settings.executeclasses["default"].resources is None
    assert settings.executeclasses["gold"].description == "g"


def test_a_missing_default_execute_class_is_added(load: Loader) -> None:
    settings = load("executeclasses: { 'gold': { 'description': 'g' } }\n")
    assert set(settings.executeclasses) == {"gold", "default"}
    assert settings.execute_class("lead") == ("default", settings.executeclasses["default"])
    assert settings.execute_class("gold")[1].description == "g"


def test_a_dock_entry_without_icon_is_kept(load: Loader) -> None:
    settings = load("dock: { 'x': { 'name': 'X' }, 'y': { 'icon': None } }\n")
    assert settings.dock.entries == {"x": {"name": "X"}, "y": {"icon": None}}
    assert set(found(settings)) == {"dock.x.icon", "dock.y.icon"}


@pytest.mark.parametrize("name", ["ManagerController", "StoreController"])
def test_a_controller_policy_that_is_no_dict_is_replaced_by_the_default(load: Loader, name: str) -> None:
    settings = load(f"controllers: {{ '{name}': [] }}\n")
    assert "the default is used" in found(settings)[f"controllers.{name}"]
    assert (settings.controllers["ManagerController"].permitip or ())[0].compressed == "10.0.0.0/8"


def test_rules_of_environment_that_are_no_dict_are_replaced_by_none(load: Loader) -> None:
    settings = load("desktop.envlocalrules: []\n")
    assert settings.desktop.envlocalrules == {}
    assert "desktop.envlocalrules" in found(settings)


def test_prelogin_without_a_page_is_switched_off(load: Loader) -> None:
    settings = load("auth.prelogin: { 'enable': True, 'network_list': [ '0.0.0.0/0' ] }\n")
    assert settings.prelogin.enable is False
    assert "switched off" in found(settings)["auth.prelogin.url"]


@pytest.mark.parametrize(
    ("key", "more"), [("auth.prelogin", "'url': 'http://x.org/', "), ("auth.logmein", "'permit_querystring': True, ")]
)
def test_a_bad_network_list_switches_the_feature_off(load: Loader, key: str, more: str) -> None:
    settings = load(f"{key}: {{ 'enable': True, {more}'network_list': [ 'lan' ] }}\n")
    assert (settings.prelogin.enable, settings.logmein.enable) == (False, False)
    assert f"{key}.network_list[0]" in found(settings)
    assert "switched off" in found(settings)[key]


def test_prelogin_times_that_leave_no_time_return_to_their_defaults(load: Loader) -> None:
    settings = load("auth.prelogin: { 'maxprelogintimeout': 12, 'timetoloadthewebpage': 8 }\n")
    assert (settings.prelogin.maxprelogintimeout, settings.prelogin.timetoloadthewebpage) == (120, 5)
    assert "auth.prelogin.maxprelogintimeout" in found(settings)


def test_logging_that_is_no_dict_leaves_the_console(load: Loader) -> None:
    settings = load("logging: 'verbose'\n")
    assert settings.logging is None
    assert "logging" in found(settings)


@pytest.mark.parametrize("value", ["'secret-config'", "5", "'empty'"])
def test_a_reference_to_no_dict_leaves_the_provider_as_it_is(load: Loader, value: str) -> None:
    settings = load(
        "authmanagers: { 'explicit': { 'providers': {\n"
        f"  'p': {{ 'config_ref': {value}, 'servers': [ 'a' ] }} }} }} }}\n"
        "empty: {}\n"
    )
    assert settings.auth.managers["explicit"].providers["p"]["servers"] == ["a"]
    assert "authmanagers.explicit.providers.p.config_ref" in found(settings)


def test_a_directory_nobody_refers_to_is_pointed_out(load: Loader) -> None:
    assert "config_ref" in found(load("mydirectoryconfig: { 'x': {} }\n"))["mydirectoryconfig"]


def test_one_network_without_a_list_is_read_as_a_list(load: Loader) -> None:
    settings = load("controllers: { 'ManagerController': { 'permitip': '10.1.0.0/16', 'apikey': 'k1' } }\n")
    policy = settings.controllers["ManagerController"]
    assert [str(network) for network in policy.permitip or ()] == ["10.1.0.0/16"]
    assert policy.apikey == ("k1",)
    assert set(found(settings)) == {
        "controllers.ManagerController.permitip",
        "controllers.ManagerController.apikey",
    }


def test_a_network_with_host_bits_is_read_as_the_network_around_it(load: Loader) -> None:
    settings = load("trusted_proxy_cidr: [ '10.1.2.3/8', '10.1.2.3', '::1/64' ]\n")
    assert [str(network) for network in settings.http.trusted_proxy_cidr] == ["10.0.0.0/8", "10.1.2.3/32", "::/64"]
    assert set(found(settings)) == {"trusted_proxy_cidr[0]", "trusted_proxy_cidr[2]"}


def test_a_volume_nobody_defines_is_pointed_out_for_enabled_entries(load: Loader) -> None:
    pod = (
        "{ 'filer': { 'enable': True, 'acl': { 'permit': [ 'all' ] }, 'volumes': [ 'tmp', 'home', 'cache', 'data' ] } }"
    )
    settings = load(f"{POD}desktop.pod: {pod}\ndesktop.directorytomemoryemptydir: [ '.cache' ]\n", whole=True)
    assert set(found(settings)) == {"desktop.pod.filer.volumes[3]"}


def test_an_enabled_entry_without_acl_is_pointed_out(load: Loader) -> None:
    settings = load(f"{POD}desktop.pod: {{ 'filer': {{ 'enable': True }} }}\n", whole=True)
    assert "nobody may use it" in found(settings)["desktop.pod.filer"]


def test_waiting_for_an_entry_without_port_or_program_is_pointed_out(load: Loader) -> None:
    entry = "'enable': True, 'acl': { 'permit': [ 'all' ] }"
    graphical = f"'graphical': {{ {entry}, 'tcpport': 6081, 'waitportbin': '/w' }}"
    settings = load(f"{POD}desktop.pod: {{ {graphical}, 'spawner': {{ {entry} }} }}\n", whole=True)
    assert (
        "'spawner' needs 'tcpport' and 'waitportbin'"
        in found(settings)["desktop.pod.graphical.waitfor_listeningservices"]
    )


def test_plain_http_for_oauth_is_a_warning_on_an_https_site_only(load: Loader) -> None:
    assert "OAUTHLIB_INSECURE_TRANSPORT" in found(load("OAUTHLIB_INSECURE_TRANSPORT: True\n"))
    local = "[global]\ndesktop.pod: {}\ndefault_host_url: 'http://localhost'\nOAUTHLIB_INSECURE_TRANSPORT: True\n"
    assert found(load(local, whole=True)) == {}


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("mongodburl: 'mongodb://pyos:Az4MeYWUjZDg4Zjhk@mongodb'\n", "mongodburl"),
        (
            "internaldns.enable: True\ninternaldns.server: 'd'\ninternaldns.secret: 'abcdesktopinternaldnssecret'\n",
            "internaldns.secret",
        ),
        (
            "controllers: { 'ManagerController': { 'apikey': [ 'change-me' ] } }\n",
            "controllers.ManagerController.apikey",
        ),
    ],
)
def test_published_secrets_are_advised_against(load: Loader, text: str, key: str) -> None:
    settings = load(text)
    assert "published" in found(settings, Level.ADVICE)[key]
    assert found(settings) == {}


def test_the_published_account_password_is_advised_against(load: Loader) -> None:
    text = "[global]\ndesktop.pod: {}\ndefault_host_url: 'http://x.org'\ndesktop.userpasswd: 'lmdpocpetit'\n"
    assert "published" in found(load(text, whole=True), Level.ADVICE)["desktop.userpasswd"]


def test_without_an_account_password_each_load_draws_a_random_one(load: Loader) -> None:
    text = "[global]\ndesktop.pod: {}\ndefault_host_url: 'http://x.org'\n"
    first, second = load(text, whole=True), load(text, whole=True)
    assert len(first.account.userpasswd) >= 24
    assert first.account.userpasswd != second.account.userpasswd
    assert "random password" in found(first, Level.ADVICE)["desktop.userpasswd"]


def test_the_snapshot_container_is_advised_against_and_offered_in_the_menu(load: Loader) -> None:
    pod = "desktop.pod: { 'snapshot': { 'enable': True, 'acl': { 'permit': [ 'all' ] } } }\n"
    settings = load(POD + pod, whole=True)
    assert "controls the node" in found(settings, Level.ADVICE)["desktop.pod.snapshot"]
    assert settings.front.menuconfig["snapshot"] is True
    assert "snapshot" not in load().front.menuconfig
