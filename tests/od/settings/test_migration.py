"""Files of version 3: every old key still means what it meant, or says that it means nothing."""

from __future__ import annotations

import pytest

from oc.od.settings.legacy import OUTDATED, QUIETLY_IGNORED

from .support import Failures, Loader, found

HEAD = "[global]\ndefault_host_url: 'http://x.org'\ndesktop.userpasswd: 'x'\n"


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        ("server.default.ipaddr: '192.0.2.7'", "server.default.ipaddr", "server.geolocation_ipaddr"),
        ("memcachedport: 11212", "memcachedport", "memcacheport"),
        ("destkop.shell: '/bin/zsh'", "destkop.shell", "desktop.shell"),
        (
            "desktop.persistentvolumeclaimspec: 'shared'",
            "desktop.persistentvolumeclaimspec",
            "desktop.persistentvolumeclaim",
        ),
        ("desktop.persistentvolumespec: { 'spec': {} }", "desktop.persistentvolumespec", "desktop.persistentvolume"),
    ],
)
def test_an_old_name_is_accepted_with_a_warning_that_names_the_new_one(
    load: Loader, text: str, old: str, new: str
) -> None:
    assert f"use '{new}'" in found(load(text + "\n"))[old]


def test_the_values_of_old_names_arrive(load: Loader) -> None:
    settings = load(
        "server.default.ipaddr: '192.0.2.7'\nmemcachedport: 11212\ndestkop.shell: '/bin/zsh'\n"
        "desktop.persistentvolumeclaimspec: 'shared'\ndesktop.persistentvolumespec: { 'spec': {} }\n"
    )
    assert settings.server.geolocation_ipaddr == "192.0.2.7"
    assert settings.memcached.port == 11212
    assert settings.account.shell == "/bin/zsh"
    assert settings.storage.persistentvolumeclaim == "shared"
    assert settings.storage.persistentvolume == {"spec": {}}


def test_the_old_server_address_starts_no_second_server(load: Loader) -> None:
    assert load("server.default.ipaddr: '192.0.2.7'\n").server.cherrypy == {}


def test_the_new_name_wins_over_the_old_one(load: Loader) -> None:
    settings = load("memcacheport: 1\nmemcachedport: 2\n")
    assert settings.memcached.port == 1
    assert "ignored, because its new name 'memcacheport' is set too" in found(settings)["memcachedport"]


def test_the_home_cache_flag_puts_the_cache_in_memory(load: Loader) -> None:
    settings = load("desktop.homedirdotcachetoemptydir: True\n")
    assert settings.storage.directorytomemoryemptydir == (".cache",)
    assert "desktop.directorytomemoryemptydir" in found(settings)["desktop.homedirdotcachetoemptydir"]


def test_the_home_cache_flag_adds_to_the_list_once(load: Loader) -> None:
    both = "desktop.homedirdotcachetoemptydir: True\ndesktop.directorytomemoryemptydir: {}\n"
    assert load(both.format([".config"])).storage.directorytomemoryemptydir == (".config", ".cache")
    assert load(both.format([".cache"])).storage.directorytomemoryemptydir == (".cache",)


def test_the_home_cache_flag_set_to_false_changes_nothing(load: Loader) -> None:
    assert load("desktop.homedirdotcachetoemptydir: False\n").storage.directorytomemoryemptydir == ()


def test_the_old_account_directory_is_followed(load: Loader) -> None:
    assert load("desktop.secretslocalaccount: '/etc/localaccount'\n").desktop.secretslocalaccount == "/etc/localaccount"
    assert load().desktop.secretslocalaccount == "/var/lib/extrausers"


def test_an_active_namespace_key_that_differs_from_the_environment_is_pointed_out(load: Loader) -> None:
    settings = load("namespace: 'old'\n", {"POD_NAMESPACE": "new"})
    assert settings.kubernetes.namespace == "new"
    assert "before 4.0 the key won" in found(settings)["namespace"]
    assert found(load("namespace: 'same'\n", {"POD_NAMESPACE": "same"})) == {}


def test_the_old_shared_memory_size_sizes_the_volume_shm(load: Loader) -> None:
    pod = "desktop.pod: {{ 'spec': {{ 'shareProcessMemory': True, 'shareProcessMemorySize': '256Mi' }}{} }}\n"
    volumes = load(HEAD + pod.format(""), whole=True).pod.default_volumes
    assert volumes["shm"] == {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "256Mi"}}
    given = ", 'default_volumes': { 'shm': { 'name': 'shm', 'emptyDir': { 'sizeLimit': '1Gi' } } }"
    assert load(HEAD + pod.format(given), whole=True).pod.default_volumes["shm"]["emptyDir"]["sizeLimit"] == "1Gi"


def test_a_pod_without_volumes_gets_the_implicit_ones_of_older_versions(load: Loader) -> None:
    entries = "'graphical': {}, 'ephemeral_container': {}, 'pod_application': {}, 'filer': {}"
    pod = load(f"{HEAD}desktop.pod: {{ {entries} }}\n", whole=True).pod
    sizes = {name: volume["emptyDir"].get("sizeLimit") for name, volume in pod.default_volumes.items()}
    assert sizes == {
        "shm": "512Mi",
        "run": "1M",
        "tmp": "8Gi",
        "log": "8Gi",
        "rundbus": "8M",
        "runuser": "8M",
        "x11socket": None,
    }
    assert all(volume["emptyDir"]["medium"] == "Memory" for volume in pod.default_volumes.values())
    paths = {name: pod.default_volumes_mount[name]["mountPath"] for name in sizes}
    assert paths == {
        "shm": "/dev/shm",
        "run": "/var/run/desktop",
        "tmp": "/tmp",
        "log": "/var/log/desktop",
        "rundbus": "/var/run/dbus",
        "runuser": "/run/user/",
        "x11socket": "/tmp/.X11-unix",
    }
    assert pod.entry("graphical").volumes == ("x11socket", "tmp", "run", "log", "rundbus", "runuser")
    assert pod.entry("ephemeral_container").volumes == pod.entry("graphical").volumes
    assert pod.entry("pod_application").volumes == ("tmp", "run", "log", "rundbus", "runuser")
    assert pod.entry("filer").volumes is None


def test_volumes_that_are_given_are_not_filled_in(load: Loader) -> None:
    pod = load(f"{HEAD}desktop.pod: {{ 'graphical': {{ 'volumes': [] }}, 'default_volumes': {{}} }}\n", whole=True).pod
    assert pod.entry("graphical").volumes == ()
    assert pod.default_volumes == {}


def test_the_graphical_container_waits_for_the_usual_things_by_default(load: Loader) -> None:
    graphical = load(f"{HEAD}desktop.pod: {{ 'graphical': {{}} }}\n", whole=True).pod.entry("graphical")
    assert graphical.waitfor_services == ("xserver", "novnc", "spawner-service", "plasmashell")
    assert graphical.waitfor_processes == ("plasmashell", "xfwm4", "kded5", "kglobalaccel5")
    assert graphical.waitfor_listeningservices == ("graphical", "spawner")


def test_the_pause_container_is_ignored_without_a_word(load: Loader) -> None:
    settings = load(f"{HEAD}desktop.pod: {{ 'storage': {{ 'image': 'pause', 'enable': True }} }}\n", whole=True)
    assert "storage" not in settings.pod.containers
    assert settings.warnings == ()


@pytest.mark.parametrize(
    ("secrets", "names"),
    [("'one'", ["one"]), ("{ 'name': 'one' }", ["one"]), ("[ { 'name': 'one' }, 'two' ]", ["one", "two"])],
)
@pytest.mark.parametrize("place", ["top", "spec"])
def test_pull_secrets_are_accepted_in_every_form_and_place(
    load: Loader, secrets: str, names: list[str], place: str
) -> None:
    inner = f"'imagePullSecrets': {secrets}"
    pod = f"{{ {inner} }}" if place == "top" else f"{{ 'spec': {{ {inner} }} }}"
    spec = load(f"{HEAD}desktop.pod: {pod}\n", whole=True).pod.spec
    assert [secret["name"] for secret in spec.image_pull_secrets or ()] == names


def test_pull_secrets_and_tolerations_in_the_spec_win_over_the_old_place(load: Loader) -> None:
    old = "'imagePullSecrets': 'old', 'tolerations': [ { 'key': 'old' } ]"
    new = "'spec': { 'imagePullSecrets': [ 'new' ], 'tolerations': [ { 'key': 'new' } ] }"
    assert load(f"{HEAD}desktop.pod: {{ {old} }}\n", whole=True).pod.spec.tolerations == ({"key": "old"},)
    spec = load(f"{HEAD}desktop.pod: {{ {old}, {new} }}\n", whole=True).pod.spec
    assert spec.tolerations == ({"key": "new"},)
    assert spec.image_pull_secrets == ({"name": "new"},)


def test_pull_secrets_of_an_entry_are_kept_apart(load: Loader) -> None:
    pod = load(f"{HEAD}desktop.pod: {{ 'filer': {{ 'imagePullSecrets': 'mine' }} }}\n", whole=True).pod
    assert pod.entry("filer").image_pull_secrets == ({"name": "mine"},)
    assert pod.spec.image_pull_secrets is None


@pytest.mark.parametrize(
    ("text", "key", "new"),
    [
        ("'graphical': { 'acls': { 'permit': [ 'all' ] } }", "graphical.acls", "acl"),
        ("'graphical': { 'healthzbin': '/x' }", "graphical.healthzbin", "healtzbin"),
    ],
)
def test_misspelt_keys_of_an_entry_are_read_under_the_right_name(load: Loader, text: str, key: str, new: str) -> None:
    settings = load(f"{HEAD}desktop.pod: {{ {text} }}\n", whole=True)
    assert f"use '{new}'" in found(settings)[f"desktop.pod.{key}"]
    graphical = settings.pod.entry("graphical")
    assert (graphical.acl, graphical.healtzbin) != (None, None)


@pytest.mark.parametrize(("old", "new"), [("lifecyle", "lifecycle"), ("pullpolicy", "imagePullPolicy")])
def test_misspelt_keys_that_never_worked_are_ignored_with_the_right_name(load: Loader, old: str, new: str) -> None:
    settings = load(f"{HEAD}desktop.pod: {{ 'graphical': {{ '{old}': 'Always' }} }}\n", whole=True)
    assert f"ignored. Did you mean '{new}'?" in found(settings)[f"desktop.pod.graphical.{old}"]
    assert settings.pod.entry("graphical").lifecycle is None
    assert settings.pod.entry("graphical").image_pull_policy == "IfNotPresent"


def test_both_spellings_of_the_description_are_accepted(load: Loader) -> None:
    settings = load("desktop.description: { 'internalipaddr': 'eth0', 'externalip': 'net1' }\n")
    assert settings.desktop.description == {"internalipaddr": "eth0", "externalip": "net1"}
    assert settings.warnings == ()


@pytest.mark.parametrize("theme", ["auto", "autodetect"])
def test_both_words_for_the_automatic_theme_are_automatic(load: Loader, theme: str) -> None:
    assert load(f"desktop.theme: '{theme}'\n").desktop.theme_is_automatic
    assert not load("desktop.theme: 'linux'\n").desktop.theme_is_automatic


@pytest.mark.parametrize("key", sorted(QUIETLY_IGNORED))
def test_a_dropped_key_is_accepted_without_a_word(load: Loader, key: str) -> None:
    assert load(f"{key}: 'anything'\n").warnings == ()


@pytest.mark.parametrize("key", [*OUTDATED, "stack.mode", "daemondockertcpport"])
def test_a_key_of_version_2_is_pointed_out(load: Loader, key: str) -> None:
    assert "without effect since 3.0" in found(load(f"{key}: 1\n"))[key]


@pytest.mark.parametrize(
    "text",
    [
        "jira: { 'url': 'https://j.org', 'username': 'u', 'apikey': 'k', 'project_id': 'P' }",
        "fakedns: { 'interfacename': 'net1' }",
        "developer_instance: True",
        "webrtc.enable: True",
        "webrtc.rtc_configuration:{ 'iceServers': [] }",
        "webrtc.coturn: { 'coturn_static_auth_secret': 's', 'ttl': 60, 'protocol': 'turns', 'url': 'h:1' }",
        "desktop.hostname: 'desk'",
        "desktop.envlocal: { 'STUN_SERVER': 'stun://x', 'ABCDESKTOP_BG_COLOR': '#fff', 'UBUNTU_MENUPROXY': '0' }",
    ],
)
def test_keys_dropped_later_are_still_served(load: Loader, text: str) -> None:
    assert load(text + "\n").warnings == ()


def test_the_tracker_needs_all_four_keys(load: Loader) -> None:
    assert load("jira: { 'url': 'https://j.org', 'username': 'u', 'apikey': 'k', 'project_id': 'P' }\n").jira.enabled
    assert not load("jira: { 'url': 'https://j.org', 'username': 'u', 'apikey': 'k' }\n").jira.enabled


def test_storage_of_homes_is_not_the_node_unless_asked(load: Loader, failures: Failures) -> None:
    assert load().storage.homedirectorytype is None
    assert load("desktop.homedirectorytype: 'hostPath'\n").storage.host_path_root == "/mnt"
    nfs = "desktop.homedirectorytype: 'nfs'\ndesktop.nfs: { 'server': 's', 'path': '/p' }\n"
    assert load(nfs).storage.nfs == {"server": "s", "path": "/p"}
    (problem,) = failures("desktop.homedirectorytype: 'nfs'\ndesktop.nfs: 's:/p'\n")
    assert problem.key == "desktop.nfs"
