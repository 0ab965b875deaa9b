"""Namespaces, claims and volumes, quotas, events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from devstack.cluster.node.events import EventRecorder
from devstack.cluster.store import Store
from tests.devstack.node.bed import NAMESPACE, Bed, bed, in_loop


# -- namespaces -------------------------------------------------------------------------------------------------------
@in_loop
async def test_a_namespace_has_its_service_account_and_ca(tmp_path: Path) -> None:
    async with bed(tmp_path) as cluster:
        await cluster.until(lambda: cluster.get("kube-root-ca.crt", "configmaps"), kinds=("configmaps",))
        assert cluster.get("kube-root-ca.crt", "configmaps")["data"] == {"ca.crt": "CA"}  # type: ignore[index]
        await cluster.until(lambda: cluster.get("default", "serviceaccounts"), kinds=("serviceaccounts",))


def _delete_namespace(cluster: Bed) -> None:
    def mark(obj: dict[str, Any]) -> None:
        obj["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        obj["status"] = {"phase": "Terminating"}

    cluster.store.update("namespaces", None, NAMESPACE, mark)


@in_loop
async def test_a_deleted_namespace_ends_its_pods_and_goes(tmp_path: Path) -> None:
    async with bed(tmp_path) as cluster:
        cluster.pod()
        await cluster.running()
        _delete_namespace(cluster)
        await cluster.until(lambda: cluster.get(NAMESPACE, "namespaces", "") is None)
        assert cluster.store.list("pods") == []
        assert cluster.store.list("configmaps") == []
        assert cluster.store.list("events", NAMESPACE) == []


@in_loop
async def test_a_finalizer_keeps_a_deleted_namespace_and_its_status_says_so(tmp_path: Path) -> None:
    async with bed(tmp_path) as cluster:
        metadata = {"name": "f", "namespace": NAMESPACE, "finalizers": ["x.example/f"]}
        cluster.store.create("configmaps", {"metadata": metadata})
        _delete_namespace(cluster)

        def conditions() -> dict[str, dict[str, str]]:
            space = cluster.get(NAMESPACE, "namespaces", "")
            return {entry["type"]: entry for entry in (space or {}).get("status", {}).get("conditions", ())}

        wanted = "Some resources are remaining: configmaps. has 1 resource instances"
        await cluster.until(lambda: conditions().get("NamespaceContentRemaining", {}).get("message") == wanted)
        assert conditions()["NamespaceFinalizersRemaining"]["message"] == (
            "Some content in the namespace has finalizers remaining: x.example/f in 1 resource instances"
        )
        cluster.store.update("configmaps", NAMESPACE, "f", lambda obj: obj["metadata"].pop("finalizers"))
        await cluster.until(lambda: cluster.get(NAMESPACE, "namespaces", "") is None)


# -- claims -----------------------------------------------------------------------------------------------------------
def _claim(cluster: Bed, name: str = "home", storage_class: str = "hostpath", **spec: Any) -> None:
    cluster.store.create(
        "persistentvolumeclaims",
        {
            "metadata": {"name": name, "namespace": NAMESPACE, "finalizers": ["kubernetes.io/pvc-protection"]},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": storage_class,
                "resources": {"requests": {"storage": "1Gi"}},
                "volumeMode": "Filesystem",
                **spec,
            },
            "status": {"phase": "Pending"},
        },
    )


def _volume(cluster: Bed, name: str, storage: str = "1Gi", **spec: Any) -> None:
    cluster.store.create(
        "persistentvolumes",
        {
            "metadata": {"name": name, "finalizers": ["kubernetes.io/pv-protection"]},
            "spec": {
                "capacity": {"storage": storage},
                "accessModes": ["ReadWriteOnce", "ReadWriteMany"],
                "persistentVolumeReclaimPolicy": "Retain",
                "storageClassName": "manual",
                "hostPath": {"path": "/x"},
                **spec,
            },
            "status": {"phase": "Pending"},
        },
    )


def _state(cluster: Bed, kind: str, name: str) -> str:
    namespace = NAMESPACE if kind == "persistentvolumeclaims" else ""
    obj = cluster.get(name, kind, namespace)
    return str(obj["status"].get("phase")) if obj else "gone"


def _bound(cluster: Bed, name: str = "home") -> str:
    claim = cluster.get(name, "persistentvolumeclaims")
    assert claim is not None
    return str(claim["spec"].get("volumeName", ""))


@in_loop
async def test_a_claim_of_the_default_class_gets_a_volume(tmp_path: Path) -> None:
    async with bed(tmp_path) as cluster:
        _claim(cluster)
        await cluster.until(lambda: _state(cluster, "persistentvolumeclaims", "home") == "Bound")
        claim = cluster.get("home", "persistentvolumeclaims")
        assert claim is not None
        volume = cluster.get(claim["spec"]["volumeName"], "persistentvolumes", "")
        assert volume is not None
        assert volume["spec"]["claimRef"]["uid"] == claim["metadata"]["uid"]
        assert claim["status"]["capacity"] == {"storage": "1Gi"}
        assert claim["metadata"]["annotations"]["pv.kubernetes.io/bind-completed"] == "yes"


@in_loop
async def test_a_class_that_waits_binds_when_a_pod_is_placed(tmp_path: Path) -> None:
    async with bed(tmp_path) as cluster:
        _claim(cluster, storage_class="hostpath-wait")
        await cluster.until(lambda: cluster.events("WaitForFirstConsumer"))
        assert _state(cluster, "persistentvolumeclaims", "home") == "Pending"
        cluster.pod(volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "home"}}])
        await cluster.running()
        assert _state(cluster, "persistentvolumeclaims", "home") == "Bound"


@in_loop
async def test_a_pod_waits_for_its_claim(tmp_path: Path) -> None:
    async with bed(tmp_path) as cluster:
        cluster.pod(volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "home"}}])
        missing = '0/1 nodes are available: persistentvolumeclaim "home" not found. not found'
        await cluster.until(lambda: cluster.condition("PodScheduled").get("message") == missing)
        _claim(cluster, storage_class="manual")
        unbound = "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found"
        await cluster.until(lambda: cluster.condition("PodScheduled").get("message") == unbound)
        _volume(cluster, "one")
        await cluster.running()


@in_loop
async def test_the_smallest_volume_that_fits_is_taken_and_others_stay(tmp_path: Path) -> None:
    async with bed(tmp_path) as cluster:
        _volume(cluster, "big", "5Gi")
        _volume(cluster, "fits", "2Gi")
        _volume(cluster, "tiny", "1Mi")
        _volume(cluster, "other", "1Gi", storageClassName="else")
        _volume(cluster, "single", "1Gi", accessModes=["ReadOnlyMany"])
        await cluster.until(lambda: _state(cluster, "persistentvolumes", "big") == "Available")
        _claim(cluster, storage_class="manual")
        await cluster.until(lambda: _bound(cluster) == "fits")
        assert _state(cluster, "persistentvolumes", "fits") == "Bound"
        assert _state(cluster, "persistentvolumes", "big") == "Available"


@in_loop
async def test_a_volume_reserved_for_a_claim_goes_to_that_claim(tmp_path: Path) -> None:
    async with bed(tmp_path) as cluster:
        _volume(cluster, "mine", "9Gi", claimRef={"namespace": NAMESPACE, "name": "home"})
        _volume(cluster, "free", "1Gi")
        _claim(cluster, "stranger", storage_class="manual")
        await cluster.until(lambda: _bound(cluster, "stranger") == "free")
        _claim(cluster, storage_class="manual")
        await cluster.until(lambda: _bound(cluster) == "mine")


@in_loop
async def test_a_claim_can_name_its_volume_or_select_it_by_label(tmp_path: Path) -> None:
    async with bed(tmp_path) as cluster:
        for name in ("a", "b", "c"):
            _volume(cluster, name)
            cluster.store.update(
                "persistentvolumes", None, name, lambda obj, n=name: obj["metadata"].update(labels={"n": n})
            )
        _claim(cluster, "named", storage_class="manual", volumeName="b")
        _claim(cluster, "picky", storage_class="manual", selector={"matchLabels": {"n": "c"}})
        await cluster.until(lambda: _state(cluster, "persistentvolumeclaims", "named") == "Bound")
        await cluster.until(lambda: _bound(cluster, "picky") == "c")
        assert _bound(cluster, "named") == "b"


@in_loop
async def test_a_claim_in_use_stays_until_its_pod_has_gone(tmp_path: Path) -> None:
    async with bed(tmp_path) as cluster:
        _claim(cluster)
        cluster.pod(volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "home"}}])
        await cluster.running()
        volume = _bound(cluster)
        cluster.delete("home", "persistentvolumeclaims")
        cluster.pod("other")
        await cluster.running("other")
        assert cluster.get("home", "persistentvolumeclaims") is not None
        cluster.delete("p")
        await cluster.until(lambda: cluster.get("home", "persistentvolumeclaims") is None)
        await cluster.until(lambda: cluster.get(volume, "persistentvolumes", "") is None)


@in_loop
async def test_a_kept_volume_is_released_and_not_given_to_another_claim(tmp_path: Path) -> None:
    async with bed(tmp_path) as cluster:
        _volume(cluster, "keep")
        _claim(cluster, storage_class="manual")
        await cluster.until(lambda: _bound(cluster) == "keep")
        cluster.delete("home", "persistentvolumeclaims")
        await cluster.until(lambda: _state(cluster, "persistentvolumes", "keep") == "Released")
        _claim(cluster, storage_class="manual")
        await cluster.until(lambda: cluster.events("ProvisioningFailed"))
        assert _state(cluster, "persistentvolumeclaims", "home") == "Pending"


@in_loop
async def test_a_broken_object_does_not_stop_the_controllers(tmp_path: Path) -> None:
    async with bed(tmp_path) as cluster:
        cluster.store.create(
            "persistentvolumeclaims", {"metadata": {"name": "bad", "namespace": NAMESPACE}, "spec": {}}
        )
        cluster.store.create(
            "pods",
            {"metadata": {"name": "bad", "namespace": NAMESPACE}, "spec": {"nodeName": "node1", "containers": [{}]}},
        )
        _claim(cluster)
        await cluster.until(lambda: _state(cluster, "persistentvolumeclaims", "home") == "Bound")
        cluster.pod()
        await cluster.running()


# -- quotas -----------------------------------------------------------------------------------------------------------
@in_loop
async def test_a_quota_shows_what_is_used(tmp_path: Path) -> None:
    async with bed(tmp_path) as cluster:
        await cluster.until(lambda: cluster.get("kube-root-ca.crt", "configmaps"), kinds=("configmaps",))
        quota = {"metadata": {"name": "q", "namespace": NAMESPACE}, "spec": {"hard": {"count/configmaps": "5"}}}
        cluster.store.create("resourcequotas", quota)

        def used() -> str:
            status = cluster.store.list("resourcequotas")[0].get("status") or {}
            return str((status.get("used") or {}).get("count/configmaps"))

        await cluster.until(lambda: used() == "1", kinds=("resourcequotas",))
        cluster.store.create("configmaps", {"metadata": {"name": "c", "namespace": NAMESPACE}})
        await cluster.until(lambda: used() == "2", kinds=("resourcequotas",))


# -- events -----------------------------------------------------------------------------------------------------------
def _recorder(kept: int) -> tuple[Store, EventRecorder, dict[str, Any]]:
    store = Store()
    store.create("namespaces", {"metadata": {"name": NAMESPACE}})
    pod = store.create("pods", {"metadata": {"name": "p", "namespace": NAMESPACE}})
    return store, EventRecorder(store, kept), pod


def test_the_same_event_again_counts_up() -> None:
    store, events, pod = _recorder(10)
    for _ in range(3):
        events.kubelet(pod, "n", "Warning", "BackOff", "again")
    events.kubelet(pod, "n", "Warning", "BackOff", "different")
    assert sorted((event["message"], event["count"]) for event in store.list("events")) == [
        ("again", 3),
        ("different", 1),
    ]


def test_only_the_newest_events_are_kept() -> None:
    store, events, pod = _recorder(2)
    for number in range(5):
        events.kubelet(pod, "n", "Normal", "R", f"message {number}")
    assert sorted(event["message"] for event in store.list("events")) == ["message 3", "message 4"]


def test_an_event_somebody_deleted_is_written_anew() -> None:
    store, events, pod = _recorder(10)
    events.kubelet(pod, "n", "Normal", "R", "m")
    store.remove("events", NAMESPACE, store.list("events")[0]["metadata"]["name"])
    events.kubelet(pod, "n", "Normal", "R", "m")
    assert [event["count"] for event in store.list("events")] == [1]


def test_a_very_long_message_is_cut() -> None:
    store, events, pod = _recorder(10)
    events.kubelet(pod, "n", "Normal", "R", "x" * 5000)
    assert len(store.list("events")[0]["message"]) == 1024


def test_nothing_is_written_into_a_namespace_that_goes() -> None:
    store, events, pod = _recorder(10)
    store.update(
        "namespaces", None, NAMESPACE, lambda obj: obj["metadata"].update(deletionTimestamp="x"), remove_done=False
    )
    events.kubelet(pod, "n", "Normal", "R", "m")
    assert store.list("events") == []
