"""Behaviour of the desktop pod that whole objects do not show at a glance."""

from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any

import hypothesis
import kubernetes_validate
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oc.model.identity import ClientInfo, Identity, PosixAccount
from oc.od.orchestrator.manifests import desktop, homes, network
from oc.od.orchestrator.manifests.types import Draw, HomeVolume, ManifestError, NetworkRules, SecretRef
from oc.od.settings import Settings, load_settings, settings_from_mapping

from . import configurations as conf
from . import people
from .cases import build_desktop
from .people import ANONYMOUS, ANONYMOUS_ACCOUNT, FRY, FRY_ACCOUNT
from .support import PATIENT

SAMPLES = Path(__file__).parents[5] / "shared" / "data" / "config"
SHIPPED = settings_from_mapping(conf.shipped())
POLICIES = settings_from_mapping(conf.with_policies())


def containers(manifest: Any) -> dict[str, Any]:
    spec = manifest["spec"]
    return {one["name"]: one for one in [*spec.get("initContainers", []), *spec["containers"]]}


def env(container: Any) -> dict[str, str | None]:
    return {one["name"]: one.get("value") for one in container["env"]}


def changed(change: Any) -> Settings:
    values = conf.shipped()
    change(values)
    return settings_from_mapping(values)


def test_graphical_is_first_and_the_order_of_the_others_is_fixed() -> None:
    values = conf.many_containers()
    values["desktop.pod"] = dict(reversed(values["desktop.pod"].items()))
    made = build_desktop(values, FRY, FRY_ACCOUNT).manifest
    names = [one["name"] for one in made["spec"]["containers"]]
    assert names == ["x-graphical", "c-printer", "s-sound", "h-ssh", "f-filer", "u-metrics", "r-rdp"]


def test_every_container_has_the_same_environment() -> None:
    made = build_desktop(conf.many_containers(), FRY, FRY_ACCOUNT).manifest
    assert len({json.dumps(one["env"]) for one in containers(made).values()}) == 1


def test_only_graphical_has_a_working_directory() -> None:
    made = containers(build_desktop(SHIPPED, FRY, FRY_ACCOUNT).manifest)
    assert [name for name, one in made.items() if "workingDir" in one] == ["x-graphical"]


def test_only_graphical_sees_the_vnc_secret() -> None:
    made = containers(build_desktop(SHIPPED, FRY, FRY_ACCOUNT).manifest)
    seeing = [name for name, one in made.items() if any("vnc" in m["name"] for m in one["volumeMounts"])]
    assert seeing == ["x-graphical"]


def test_nobody_without_permission_gets_a_desktop() -> None:
    def change(values: dict[str, Any]) -> None:
        values["desktop.pod"]["graphical"]["acl"] = {"permit": ["all"], "deny": ["shipcrew"]}

    with pytest.raises(ManifestError, match="permitted"):
        build_desktop(changed(change), FRY, FRY_ACCOUNT)
    assert build_desktop(changed(change), ANONYMOUS, ANONYMOUS_ACCOUNT)


@pytest.mark.parametrize("acl", [None, {}, {"permit": ["adminstaff"]}, {"permit": ["all"], "deny": ["all"]}])
def test_an_entry_without_permission_leaves_no_trace(acl: Any) -> None:
    def change(values: dict[str, Any]) -> None:
        values["desktop.pod"]["sound"]["acl"] = acl

    made = build_desktop(changed(change), FRY, FRY_ACCOUNT).manifest
    assert "s-sound" not in containers(made)
    assert "service_sound" not in made["metadata"]["labels"]
    assert "ABCDESKTOP_SERVICE_sound" not in env(containers(made)["x-graphical"])


@pytest.mark.parametrize(
    ("image", "labels", "expected"),
    [
        ("plain:1", {}, "plain:1"),
        ({"default": "d:1", "b": "b:1", "a": "a:1"}, {"a": "true", "b": "true"}, "a:1"),
        ({"default": "d:1", "b": "b:1"}, {"a": "true"}, "d:1"),
        ({"default": "d:1", "a": True}, {"a": "from-label:1"}, "from-label:1"),
    ],
)
def test_the_image_is_that_of_the_users_first_label_else_the_default(image: Any, labels: Any, expected: str) -> None:
    def change(values: dict[str, Any]) -> None:
        values["desktop.pod"]["graphical"]["image"] = image

    identity = dataclasses.replace(FRY, labels=labels)
    made = build_desktop(changed(change), identity, FRY_ACCOUNT).manifest
    assert containers(made)["x-graphical"]["image"] == expected


@pytest.mark.parametrize("image", [None, {"b": "b:1"}])
def test_no_image_is_an_error_of_the_configuration(image: Any) -> None:
    def change(values: dict[str, Any]) -> None:
        values["desktop.pod"]["graphical"]["image"] = image

    with pytest.raises(ManifestError, match="image") as caught:
        build_desktop(changed(change), FRY, FRY_ACCOUNT)
    assert caught.value.status == 500


def test_no_vnc_secret_no_desktop() -> None:
    with pytest.raises(ManifestError, match="VNC"):
        desktop.desktop_pod(
            SHIPPED,
            FRY,
            people.CLIENT,
            FRY_ACCOUNT,
            people.DRAW,
            [SecretRef("auth-localaccount-fry", "localaccount", "localaccount")],
            HomeVolume({"emptyDir": {}}),
            NetworkRules(),
            pod_level_resources=True,
        )


@pytest.mark.parametrize(
    ("theme", "family", "expected"),
    [
        ("auto", "windows", "windows"),
        ("autodetect", "linux", "linux"),
        ("macosx", "windows", "macosx"),
        (None, "linux", "linux"),
        ("auto", "", None),
    ],
)
def test_the_theme_is_automatic_or_fixed(theme: str | None, family: str, expected: str | None) -> None:
    def change(values: dict[str, Any]) -> None:
        values["desktop.theme"] = theme

    client = ClientInfo(ipaddr="10.0.0.1", os_family=family)
    found = env(containers(build_desktop(changed(change), FRY, FRY_ACCOUNT, client).manifest)["x-graphical"])
    assert found.get("ABCDESKTOP_WEBCLIENT_USERAGENT_OS_FAMILY") == expected
    assert found.get("ABCDESKTOP_DESKTOPTHEME") == (expected if theme else None)


def test_a_theme_in_the_configured_environment_wins() -> None:
    def change(values: dict[str, Any]) -> None:
        values["desktop.envlocal"]["ABCDESKTOP_DESKTOPTHEME"] = "linux"

    client = ClientInfo(ipaddr="10.0.0.1", os_family="windows")
    found = env(containers(build_desktop(changed(change), FRY, FRY_ACCOUNT, client).manifest)["x-graphical"])
    assert found["ABCDESKTOP_DESKTOPTHEME"] == "linux"


def test_the_annotation_of_the_last_login_is_ours_whatever_a_rule_says() -> None:
    def change(values: dict[str, Any]) -> None:
        rule = {"annotations": {"lastlogin_datetime": "1970-01-01T00:00:00", "k": "v"}}
        values["desktop.policies"] = {"rules": {"network": {"default": rule}}}

    made = build_desktop(changed(change), FRY, FRY_ACCOUNT).manifest
    assert made["metadata"]["annotations"] == {"lastlogin_datetime": people.DRAW.now, "k": "v"}


def test_a_hook_of_the_configuration_wins_over_the_one_that_empties_the_home() -> None:
    def change(values: dict[str, Any]) -> None:
        values["desktop.removehomedirectory"] = True
        values["desktop.pod"]["graphical"]["lifecycle"] = {"preStop": {"exec": {"command": ["/bin/own"]}}}

    made = build_desktop(changed(change), FRY, FRY_ACCOUNT).manifest
    assert containers(made)["x-graphical"]["lifecycle"]["preStop"]["exec"]["command"] == ["/bin/own"]


def test_a_container_runs_the_program_of_its_image_unless_an_entry_point_is_configured() -> None:
    def change(values: dict[str, Any]) -> None:
        values["desktop.pod"]["graphical"]["command"] = ["of", "no", "effect"]
        values["desktop.pod"]["graphical"]["entrypoint"] = ["sh", "-c", "echo {{ uidNumber }}"]
        values["desktop.pod"]["init"]["entrypoint"] = ["false"]

    made = build_desktop(changed(change), FRY, FRY_ACCOUNT).manifest
    assert containers(made)["x-graphical"]["command"] == ["sh", "-c", "echo {{ uidNumber }}"]
    assert made["spec"]["initContainers"][0]["command"] != ["false"]
    assert not any("command" in one for name, one in containers(made).items() if name not in ("x-graphical", "i-init"))


def test_without_command_the_home_is_given_to_its_user_only_when_it_lasts() -> None:
    def change(values: dict[str, Any]) -> None:
        del values["desktop.pod"]["init"]["command"]

    assert "initContainers" not in build_desktop(changed(change), FRY, FRY_ACCOUNT).manifest["spec"]


def test_the_login_of_a_user_cannot_run_a_command_in_the_init_container() -> None:
    def change(values: dict[str, Any]) -> None:
        values["desktop.pod"]["init"]["command"] = ["sh", "-c", "echo {{ gecos }} '{{ cn }}'"]

    account = dataclasses.replace(FRY_ACCOUNT, gecos="$(reboot)", cn="'; reboot; '")
    made = containers(build_desktop(changed(change), FRY, account).manifest)["i-init"]
    assert made["command"][2] == "echo --reboot- '---reboot---'"


@pytest.mark.parametrize("account", [{"uid": "../etc"}, {"uid": "a b"}, {"uidNumber": 0}, {"uidNumber": -4}])
def test_an_account_that_could_do_harm_gets_no_desktop(account: dict[str, Any]) -> None:
    with pytest.raises(ManifestError):
        build_desktop(SHIPPED, FRY, dataclasses.replace(FRY_ACCOUNT, **account))


@pytest.mark.parametrize("field", ["suffix", "xauthkey", "pulseaudio_cookie", "broadcast_cookie", "now"])
@pytest.mark.parametrize("value", ["", "x", "ABCDE", "0" * 64])
def test_a_draw_of_another_form_is_refused(field: str, value: str) -> None:
    with pytest.raises(ValueError, match=field):
        dataclasses.replace(people.DRAW, **{field: value})


def test_a_draw_shows_no_cookie() -> None:
    shown = repr(people.DRAW)
    assert all(cookie not in shown for cookie in (people.DRAW.xauthkey, people.DRAW.broadcast_cookie))
    assert isinstance(people.DRAW, Draw)


def scramble(value: Any) -> None:
    """Change every dict and list inside a built object."""
    if isinstance(value, dict):
        for item in list(value.values()):
            scramble(item)
        value["scrambled"] = True
    elif isinstance(value, list):
        for item in value:
            scramble(item)
        value.append("scrambled")


@pytest.mark.parametrize(
    "make",
    [
        conf.shipped,
        conf.with_policies,
        conf.gpu_by_label,
        conf.bridged,
        conf.many_containers,
        conf.shared_claim,
        conf.nfs_home,
    ],
)
def test_what_is_built_shares_nothing_with_the_settings(make: Any) -> None:
    loaded = settings_from_mapping(make())
    before = copy.deepcopy(loaded)
    first = build_desktop(loaded, FRY, FRY_ACCOUNT, claim="c").manifest
    kept = copy.deepcopy(first)
    scramble(first)
    assert loaded == before
    assert build_desktop(loaded, FRY, FRY_ACCOUNT, claim="c").manifest == kept


names = st.text(max_size=70)
accounts = st.builds(
    PosixAccount,
    cn=names,
    uid=st.from_regex(r"\A[a-z_][a-z0-9_.@-]{0,62}\Z"),
    gid=names,
    uidNumber=st.integers(1, 2**31 - 1),
    gidNumber=st.integers(0, 2**31 - 1),
    homeDirectory=names,
    gecos=names,
)
people_of_all_kinds = st.builds(
    Identity,
    provider=st.text(min_size=1, max_size=70),
    providertype=names,
    userid=st.text(min_size=1, max_size=90),
    name=names,
    labels=st.dictionaries(st.one_of(names, st.sampled_from(["shipcrew", "tennetwork", "executeclassname"])), names),
    roles=st.lists(names, max_size=4).map(tuple),
)


@hypothesis.settings(PATIENT, max_examples=60)
@given(people_of_all_kinds, accounts, names, st.booleans())
def test_any_user_gives_a_pod_kubernetes_takes(
    identity: Identity, account: PosixAccount, text: str, pod_level: bool
) -> None:
    made = desktop.desktop_pod(
        POLICIES,
        identity,
        ClientInfo(ipaddr="10.0.0.1", os_family=text, locale="en_US"),
        account,
        people.DRAW,
        people.secrets(identity, "kerberos"),
        homes.home_volume(POLICIES, identity, account, claim_name="claim"),
        network.network_rules(POLICIES, identity.labels),
        pod_level_resources=pod_level,
        authorized_key=text,
    ).manifest
    kubernetes_validate.validate(made, "1.34", strict=True)
    assert made["metadata"]["labels"]["type"] == "x11server"
    assert made["metadata"]["labels"]["xauthkey"] == people.DRAW.xauthkey
    home = env(containers(made)["x-graphical"])["HOME"]
    assert home == containers(made)["x-graphical"]["workingDir"]
    assert home in {mount["mountPath"] for mount in containers(made)["x-graphical"]["volumeMounts"]}


@pytest.mark.parametrize("version", ["3.3", "4.1", "4.4"])
@pytest.mark.parametrize("pod_level", [True, False])
def test_the_published_configurations_make_pods_kubernetes_takes(version: str, pod_level: bool) -> None:
    path = SAMPLES / f"od.config.{version}"
    if not path.exists():
        pytest.skip("the published configurations (../shared/data/config) are not here")
    loaded = load_settings(path, {})
    for identity, account in ((FRY, FRY_ACCOUNT), (ANONYMOUS, ANONYMOUS_ACCOUNT)):
        built = build_desktop(loaded, identity, account, pod_level=pod_level, claim="claim")
        kubernetes_validate.validate(built.manifest, "1.34", strict=True)
        assert built.warnings == ()


@pytest.mark.parametrize("home", [None, "hostPath"])
def test_an_init_command_of_a_file_without_volumes_lists_works_on_the_home(home: str | None) -> None:
    """Files up to 4.2 run ``chown … ~`` and name no volumes: without the home the desktop would never start."""

    def change(values: dict[str, Any]) -> None:
        del values["desktop.pod"]["init"]["volumes"]
        values["desktop.homedirectorytype"] = home

    (init,) = build_desktop(changed(change), FRY, FRY_ACCOUNT).manifest["spec"]["initContainers"]
    assert [one["mountPath"] for one in init["volumeMounts"] if one["name"] == "home"] == ["/home/fry"]


def test_a_snapshot_entry_without_an_image_is_announced_but_no_container() -> None:
    def change(values: dict[str, Any]) -> None:
        values["desktop.pod"]["snapshot"] = {"enable": True, "acl": {"permit": ["all"]}}

    made = build_desktop(changed(change), FRY, FRY_ACCOUNT).manifest
    assert "t-snapshot" not in containers(made)
    assert made["metadata"]["labels"]["service_snapshot"] == "enabled"
