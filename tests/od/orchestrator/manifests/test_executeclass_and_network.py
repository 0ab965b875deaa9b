"""Execute classes and network rules: merged copies, chosen by label."""

from __future__ import annotations

import copy
from typing import Any

from oc.od.orchestrator.manifests import executeclass, network
from oc.od.orchestrator.manifests.types import NetworkRules
from oc.od.settings import settings_from_mapping

from . import configurations as conf

SETTINGS = settings_from_mapping(conf.gpu_by_label())
BRIDGED = settings_from_mapping(conf.bridged())


def test_the_wish_of_an_application_wins_over_the_label_of_the_user() -> None:
    assert executeclass.select(SETTINGS, {"executeclassname": "gold"}, "bronze").name == "bronze"
    assert executeclass.select(SETTINGS, {"executeclassname": "gold"}).name == "gold"
    assert executeclass.select(SETTINGS, {}).name == "default"
    assert executeclass.select(SETTINGS, {}).warning is None


def test_an_unknown_class_is_default_with_a_warning() -> None:
    selected = executeclass.select(SETTINGS, {"executeclassname": "diamond"})
    assert selected.name == "default"
    assert "diamond" in (selected.warning or "")


def test_resources_of_a_container_are_the_classes_under_the_configured_ones() -> None:
    gold = executeclass.select(SETTINGS, {}, "gold")
    made = executeclass.container_resources(gold, "graphical", {"limits": {"memory": "1Gi"}, "requests": {}})
    assert made == {"limits": {"nvidia.com/gpu": "1", "memory": "1Gi"}}
    assert executeclass.container_resources(gold, "sound", None) == {}


def test_a_pod_takes_cpu_and_memory_and_leaves_devices_to_a_container() -> None:
    values = conf.shipped()
    values["executeclasses"]["old"] = {
        "resources": {"limits": {"cpu": "1", "memory": "1Gi", "hugepages-2Mi": "4Mi", "nvidia.com/gpu": "1"}}
    }
    old = executeclass.select(settings_from_mapping(values), {}, "old")
    pod, rest = executeclass.split_pod_resources(old)
    assert pod == {"limits": {"cpu": "1", "memory": "1Gi", "hugepages-2Mi": "4Mi"}}
    assert rest == {"limits": {"nvidia.com/gpu": "1"}}
    assert executeclass.class_resources(old) == old.execute_class.resources


def test_the_classes_node_labels_win_over_the_general_ones() -> None:
    values = conf.shipped()
    values["desktop.nodeselector"] = {"pool": "a", "zone": "z"}
    values["executeclasses"]["bronze"]["nodeSelector"] = {"pool": "b"}
    settings = settings_from_mapping(values)
    bronze = executeclass.select(settings, {}, "bronze")
    assert executeclass.node_selector(settings, bronze) == {"pool": "b", "zone": "z"}
    assert executeclass.node_selector(settings, bronze, {"app": "1"})["app"] == "1"


def test_tolerations_add_up_without_doubles() -> None:
    gold = executeclass.select(SETTINGS, {}, "gold")
    once = {"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}
    assert executeclass.tolerations(gold, [{"key": "x"}, once], None) == [{"key": "x"}, once]


def test_a_merge_leaves_its_layers_alone() -> None:
    layers: list[dict[str, Any]] = [{"a": {"b": [1]}}, {"a": {"c": {"d": 1}}}, {"a": {"c": {"e": 2}}}]
    before = copy.deepcopy(layers)
    made = executeclass.merged(*layers)
    assert made == {"a": {"b": [1], "c": {"d": 1, "e": 2}}}
    made["a"]["b"].append(2)
    made["a"]["c"]["d"] = 9
    assert layers == before


def test_without_rules_the_network_is_plain() -> None:
    assert network.network_rules(settings_from_mapping(conf.shipped()), {"tennetwork": "true"}) == NetworkRules()


def test_default_and_label_are_merged_and_other_labels_left_out() -> None:
    rules = network.network_rules(BRIDGED, {"tennetwork": "true"})
    assert rules.bridged
    assert set(rules.annotations) == {"example.org/pool", "k8s.v1.cni.cncf.io/networks"}
    assert (rules.external_hostname, rules.external_domain) == ("desk7", "example.org")
    assert rules.websocketrouting_interface == "net1"
    assert rules.webhook == {"create": "update-dns {{ name }} {{ net1 }}"}
    plain = network.network_rules(BRIDGED, {})
    assert plain.annotations == {"example.org/pool": "desktops"}
    assert not plain.bridged


def test_every_matching_label_counts_in_the_order_of_the_configuration() -> None:
    values = conf.shipped()
    values["desktop.policies"] = {
        "rules": {
            "network": {
                "b": {"annotations": {"k": "b", "b": "1"}, "name": "first"},
                "a": {"annotations": {"k": "a"}, "name": "second"},
            }
        }
    }
    rules = network.network_rules(settings_from_mapping(values), {"a": "true", "b": "true"})
    assert rules.annotations == {"k": "a", "b": "1"}
    assert rules.name == "second"


def test_a_default_of_false_disables_the_network() -> None:
    values = conf.shipped()
    values["desktop.policies"] = {"rules": {"network": {"default": False}}}
    assert network.network_rules(settings_from_mapping(values), {}).disabled


def test_the_rules_of_an_application_replace_those_of_the_configuration() -> None:
    overlay = {"network": {"default": {"annotations": {"n": {"deep": [1]}}}}}
    rules = network.network_rules(BRIDGED, {"tennetwork": "true"}, overlay)
    assert rules.annotations == {"n": '{"deep":[1]}'}
    assert not rules.bridged


def test_an_application_without_network_rules_keeps_the_configured_ones() -> None:
    for overlay in ({"homedir": {"default": True}}, False, None, {"network": "yes"}):
        assert network.network_rules(BRIDGED, {"tennetwork": "true"}, overlay).bridged
