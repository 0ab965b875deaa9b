"""`desktop.pod`, policies and execute classes: fragments pass unchanged, typed parts are typed."""

from __future__ import annotations

import pytest

from oc.od.settings import ContainerSettings, PodSettings, settings_from_mapping

from .support import found


def pod_of(**entries: object) -> PodSettings:
    return settings_from_mapping({"desktop.pod": entries}).pod


def test_fragments_reach_the_builder_as_they_stand_in_the_file() -> None:
    security = {
        "runAsUser": "{{ uidNumber }}",
        "runAsGroup": 4096,
        "supplementalGroups": ["{{ supplementalGroups }}", 44],
        "readOnlyRootFilesystem": False,
        "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    resources = {"requests": {"cpu": "100m", "memory": 1048576}, "limits": {"nvidia.com/gpu": "1", "cpu": 0.5}}
    entry = pod_of(graphical={"securityContext": security, "resources": resources}).entry("graphical")
    assert entry.security_context == security
    assert entry.resources == resources


def test_tolerations_and_lifecycle_reach_the_builder_as_they_stand_in_the_file() -> None:
    tolerations = [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule", "tolerationSeconds": None}]
    hooks = {"preStop": {"exec": {"command": ["/bin/true"]}}}
    entry = pod_of(pod_application={"tolerations": tolerations, "lifecycle": hooks}).entry("pod_application")
    assert list(entry.tolerations or ()) == tolerations
    assert entry.lifecycle == hooks


def test_volumes_of_every_kubernetes_type_are_accepted() -> None:
    volumes = {
        "data": {"name": "data", "persistentVolumeClaim": {"claimName": "c", "readOnly": True}},
        "cfg": {"name": "cfg", "configMap": {"name": "m", "items": [{"key": "k", "path": "p"}]}},
        "mem": {"name": "mem", "emptyDir": {}},
        "nil": {"name": "nil", "emptyDir": None},
    }
    mounts = {name: {"name": name, "mountPath": f"/{name}", "readOnly": True} for name in volumes}
    pod = pod_of(default_volumes=volumes, default_volumes_mount=mounts)
    assert pod.default_volumes == volumes
    assert pod.default_volumes_mount == mounts


def test_other_fields_of_the_pod_are_passed_on_and_unknown_ones_are_not() -> None:
    spec = {"priorityClassName": "high", "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["nas"]}], "hostNetwork": True}
    settings = settings_from_mapping({"desktop.pod": {"spec": spec}})
    assert settings.pod.spec.others == {"priorityClassName": "high", "hostAliases": spec["hostAliases"]}
    assert "desktop.pod.spec.hostNetwork" in found(settings)


def test_an_entry_the_file_lacks_is_a_disabled_one() -> None:
    assert pod_of().entry("sound") == ContainerSettings()
    assert pod_of().entry("sound").enable is False


def test_entries_keep_the_order_of_the_file() -> None:
    assert list(pod_of(sound={}, graphical={}, filer={}).containers) == ["sound", "graphical", "filer"]


def test_an_entry_of_its_own_name_is_kept_with_a_warning() -> None:
    settings = settings_from_mapping({"desktop.pod": {"vpn": {"image": "vpn:1"}}})
    assert settings.pod.entry("vpn").image == "vpn:1"
    assert "container of its own" in found(settings)["desktop.pod.vpn"]


@pytest.mark.parametrize(
    ("image", "labels", "chosen"),
    [
        ("one:1", {}, "one:1"),
        (None, {"x": "y"}, None),
        ({"default": "d:1"}, {}, "d:1"),
        ({"default": "d:1", "crew": "c:1"}, {"crew": "true"}, "c:1"),
        ({"default": "d:1", "crew": "c:1"}, {"staff": "true"}, "d:1"),
        ({"crew": "c:1", "staff": "s:1"}, {"staff": "1", "crew": "1"}, "s:1"),
        ({"default": "d:1", "image": True}, {"image": "special:2"}, "special:2"),
        ({"crew": "c:1"}, {}, None),
    ],
)
def test_the_image_follows_the_first_label_that_names_one(
    image: object, labels: dict[str, str], chosen: str | None
) -> None:
    assert pod_of(graphical={"image": image}).entry("graphical").image_for(labels) == chosen


def test_the_image_may_be_chosen_by_label_names_alone() -> None:
    entry = pod_of(graphical={"image": {"default": "d:1", "crew": "c:1"}}).entry("graphical")
    assert entry.image_for(("crew",)) == "c:1"


def test_the_port_of_the_desktop_has_a_default() -> None:
    assert pod_of().graphical_port == 6081
    assert pod_of(graphical={"tcpport": 7000}).graphical_port == 7000


def test_an_acl_is_a_plain_dict_of_lists() -> None:
    entry = pod_of(filer={"acl": {"permit": ["all"], "deny": "guests"}}).entry("filer")
    assert entry.acl == {"permit": ["all"], "deny": ["guests"]}
    assert type(entry.acl) is dict


@pytest.mark.parametrize("quantity", ["8Gi", "250m", "1.5", "1e3", "0", "100k", ".5Gi", 5, 0.5])
def test_quantities_of_kubernetes_are_accepted(quantity: object) -> None:
    entry = pod_of(filer={"resources": {"limits": {"memory": quantity}}}).entry("filer")
    assert entry.resources == {"limits": {"memory": quantity}}


def test_volume_rules_are_one_or_many() -> None:
    nfs = {"type": "nfs", "name": "a", "server": "s", "path": "/p", "mountPath": "/m", "readOnly": True}
    many = [{"type": "pvc", "name": "b", "claimName": "c", "mountPath": "/n"}, nfs]
    rules = settings_from_mapping(
        {"desktop.policies": {"rules": {"volumes": {"one": nfs, "two": many}}}}
    ).policies.rules
    assert rules.volumes == {"one": nfs, "two": many}


def test_network_rules_may_switch_the_network_off() -> None:
    rules = {"default": False, "crew": {"annotations": {"a": "b"}, "webhook": {"create": ["x", "y"], "destroy": None}}}
    settings = settings_from_mapping({"desktop.policies": {"rules": {"network": rules}}})
    assert settings.policies.rules.network == rules
    assert list(settings.policies.rules.network) == ["default", "crew"]


def test_at_most_sixteen_webhooks_are_accepted() -> None:
    from oc.od.settings import ConfigurationError

    rules = {"default": {"webhook": {"create": ["x"] * 17}}}
    with pytest.raises(ConfigurationError, match=r"webhook\.create: 17 elements, expected at most 16"):
        settings_from_mapping({"desktop.policies": {"rules": {"network": rules}}})


def test_limits_of_policies_are_absent_unless_given() -> None:
    policies = settings_from_mapping({}).policies
    assert (policies.max_app_counter, policies.user_uniq_labels) == (None, ())
    given = {"max_app_counter": 0, "user_uniq_labels": ["domain"], "acls": {"x": 1}}
    policies = settings_from_mapping({"desktop.policies": given}).policies
    assert (policies.max_app_counter, policies.user_uniq_labels) == (0, ("domain",))


def test_an_execute_class_shows_what_the_login_page_and_the_desktop_read() -> None:
    given = {
        "description": "GPU",
        "nodeSelector": {"gpu": "true"},
        "resources": {},
        "priorityClassName": "high",
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
    }
    chosen = settings_from_mapping({"executeclasses": {"default": {}, "gold": given}}).executeclasses["gold"]
    assert chosen.as_dict() == {**given, "runtimeClassName": None}
    assert chosen.resources == {}


def test_an_execute_class_cannot_smuggle_fields_into_the_pod() -> None:
    settings = settings_from_mapping(
        {"executeclasses": {"default": {"hostNetwork": True, "serviceAccountName": "admin"}}}
    )
    assert set(found(settings)) == {"executeclasses.default.hostNetwork", "executeclasses.default.serviceAccountName"}
    assert "hostNetwork" not in settings.executeclasses["default"].as_dict()


def test_the_default_account_has_its_home_below_the_root() -> None:
    account = settings_from_mapping({"desktop.username": "fry", "desktop.homerootdirectory": "/users/"}).account
    assert account.userhomedirectory == "/users/fry"
    assert settings_from_mapping({"desktop.userhomedirectory": "/elsewhere"}).account.userhomedirectory == "/elsewhere"


def test_the_secrets_directory_ends_with_a_slash() -> None:
    assert settings_from_mapping({"desktop.secretsrootdirectory": "/s"}).desktop.secretsrootdirectory == "/s/"
    assert settings_from_mapping({"desktop.secretsrootdirectory": "/s/"}).desktop.secretsrootdirectory == "/s/"


def test_environment_values_become_text() -> None:
    given = {"A": 1, "B": True, "C": "", "D": 1.5, "E": "{{ uid }}"}
    assert settings_from_mapping({"desktop.envlocal": given}).desktop.envlocal == {
        "A": "1",
        "B": "True",
        "C": "",
        "D": "1.5",
        "E": "{{ uid }}",
    }
