"""The last look at a pod: each kind of mistake is found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from oc.od.orchestrator.manifests.checks import check_pod
from oc.od.orchestrator.manifests.types import ManifestError

from . import configurations as conf
from .cases import build_desktop
from .people import FRY, FRY_ACCOUNT


def first(pod: Any) -> Any:
    return pod["spec"]["containers"][0]


BREAKAGES: dict[str, Callable[[Any], Any]] = {
    "pod name": lambda pod: pod["metadata"].update(name="Fry_1"),
    "long name": lambda pod: pod["metadata"].update(name="a" * 64),
    "label value": lambda pod: pod["metadata"]["labels"].update(a="x" * 64),
    "label type": lambda pod: pod["metadata"]["labels"].update(a=None),
    "label key": lambda pod: pod["metadata"]["labels"].update({"a b": "x"}),
    "volume twice": lambda pod: pod["spec"]["volumes"].append({"name": "tmp", "emptyDir": {}}),
    "volume name": lambda pod: pod["spec"]["volumes"].append({"name": "T", "emptyDir": {}}),
    "container twice": lambda pod: pod["spec"]["containers"].append(dict(first(pod))),
    "no image": lambda pod: first(pod).update(image=""),
    "dangling mount": lambda pod: first(pod)["volumeMounts"].append({"name": "none", "mountPath": "/x"}),
    "path twice": lambda pod: first(pod)["volumeMounts"].append({"name": "log", "mountPath": "/tmp"}),
    "colon in path": lambda pod: first(pod)["volumeMounts"].append({"name": "log", "mountPath": "/a:b"}),
    "null in environment": lambda pod: first(pod)["env"].append({"name": "A", "value": None}),
    "number in environment": lambda pod: first(pod)["env"].append({"name": "A", "value": 1}),
    "variable twice": lambda pod: first(pod)["env"].append({"name": "HOME", "value": "/"}),
}


@pytest.mark.parametrize("name", BREAKAGES)
def test_a_mistake_is_found_before_it_is_sent(name: str) -> None:
    pod = build_desktop(conf.shipped(), FRY, FRY_ACCOUNT).manifest
    check_pod(pod)
    BREAKAGES[name](pod)
    with pytest.raises(ManifestError):
        check_pod(pod)
