# ruff: noqa: BLE001, PT017, PT018  (a script of checks, not a test module)
"""Drive an API server with the official Python client (kubernetes) and say which of 47 things hold.

usage: check_client.py [--kubeconfig FILE | --server URL [--token TOKEN]] [--image busybox]

The kubeconfig's user must be cluster-admin.  It makes and deletes the namespace `probe`.  Exit status 0: all hold.
Every expectation was found true of Kubernetes 1.34.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from kubernetes import client, config, watch
from kubernetes.client.rest import ApiException
from kubernetes.dynamic import DynamicClient
from kubernetes.stream import stream

a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
a.add_argument("--kubeconfig", default=os.environ.get("KUBECONFIG"))
a.add_argument("--server")
a.add_argument("--token")
a.add_argument("--image", default="busybox", help="must hold sh and sleep")
o = a.parse_args()
if o.server:
    cfg = client.Configuration()
    cfg.host, cfg.verify_ssl = o.server, False
    if o.token:
        cfg.api_key = {"authorization": "Bearer " + o.token}
else:
    cfg = client.Configuration()
    config.load_kube_config(o.kubeconfig, client_configuration=cfg)
cfg.retries = False
api = client.ApiClient(cfg)
v1 = client.CoreV1Api(api)
NS = "probe"
PODS, P1 = f"/api/v1/namespaces/{NS}/pods", f"/api/v1/namespaces/{NS}/pods/p1"
JSONPATCH, MERGE, STRATEGIC, APPLY = (
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
)
results: list[tuple[str, bool, str]] = []


def check(name: str) -> Callable:
    def run(f: Callable) -> Callable:
        try:
            r = f()
            results.append((name, True, "" if r is None else str(r)[:110]))
        except AssertionError as e:
            results.append((name, False, f"wrong: {e}"[:160]))
        except ApiException as e:
            results.append((name, False, f"HTTP {e.status} {said(e)[:120]}"))
        except Exception as e:
            results.append((name, False, f"{type(e).__name__}: {e}"[:160]))
        _, good, text = results[-1]
        print(f"{'PASS' if good else 'FAIL'}  {name:<70} {text}", flush=True)
        return f

    return run


def said(e: ApiException) -> str:
    text = e.body.decode() if isinstance(e.body, bytes) else e.body or ""
    try:
        body = json.loads(text)
        return f"{body.get('reason')}: {body.get('message')}"
    except ValueError:
        return text


def raw(method: str, path: str, content_type: str, body: Any, query: tuple = ()) -> dict:
    """One request past the client's models."""
    url = cfg.host + path + ("?" + "&".join(f"{k}={v}" for k, v in query) if query else "")
    headers = {"Content-Type": content_type, "Accept": "application/json"}
    token = cfg.get_api_key_with_prefix("authorization") or cfg.get_api_key_with_prefix("BearerToken")
    if token:
        headers["Authorization"] = token
    answer = api.rest_client.pool_manager.request(
        method, url, body=json.dumps(body).encode(), headers=headers, timeout=15, retries=False
    )
    if answer.status >= 400:
        e = ApiException(status=answer.status)
        e.body = answer.data
        raise e
    return json.loads(answer.data)


def expect(status: int, f: Callable, *args: Any, **kw: Any) -> str:
    """The call must fail with this HTTP status and a Status object."""
    try:
        f(*args, **kw)
    except ApiException as e:
        assert e.status == status, f"got HTTP {e.status}: {said(e)[:100]}"
        assert json.loads(e.body).get("kind") == "Status", "no Status object"
        return said(e)[:100]
    raise AssertionError(f"expected {status}, but the call succeeded")


def within(seconds: float, f: Callable[[], Any]) -> Any:
    """Repeat f until it gives something true."""
    end = time.time() + seconds
    while True:
        r = f()
        if r or time.time() > end:
            return r
        time.sleep(0.2)


def missing(f: Callable, *args: Any) -> bool:
    try:
        f(*args)
    except ApiException as e:
        if e.status == 404:
            return True
        raise
    return False


def pod(name: str, labels: dict | None = None) -> client.V1Pod:
    container = client.V1Container(
        name="main",
        image=o.image,
        command=["sh", "-c", "echo hi; trap 'exit 0' TERM; while :; do sleep 1; done"],
        image_pull_policy="IfNotPresent",
        env=[client.V1EnvVar(name="A", value="1"), client.V1EnvVar(name="B", value="2")],
    )
    return client.V1Pod(
        api_version="v1",
        kind="Pod",
        metadata=client.V1ObjectMeta(name=name, labels=labels or {"app": "a"}),
        spec=client.V1PodSpec(automount_service_account_token=False, containers=[container]),
    )


def cm(name: str | None = None, **kw: Any) -> client.V1ConfigMap:
    data = kw.pop("data", None)
    return client.V1ConfigMap(metadata=client.V1ObjectMeta(name=name, **kw), data=data)


def version_of(listed: Any) -> str:
    return listed.metadata.resource_version


# -- namespaces and pods ------------------------------------------------------------------------------------------
@check("version")
def _():
    return client.VersionApi(api).get_code().git_version


@check("create namespace")
def _():
    v1.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name=NS)))
    # a server with a service account controller refuses pods until it has made the namespace's default account
    within(5, lambda: not missing(v1.read_namespaced_service_account, "default", NS))


@check("list namespaces")
def _():
    assert NS in [n.metadata.name for n in v1.list_namespace().items]


@check("read namespace")
def _():
    assert v1.read_namespace(NS).metadata.name == NS


@check("create in a missing namespace: 404")
def _():
    return expect(404, v1.create_namespaced_config_map, "nope", cm("x"))


@check("create pod; uid, resourceVersion, creationTimestamp set")
def _():
    m = v1.create_namespaced_pod(NS, pod("p1")).metadata
    assert m.uid and m.resource_version and m.creation_timestamp and m.namespace, m


@check("server-side defaults (restartPolicy, status.phase)")
def _():
    p = v1.read_namespaced_pod("p1", NS)
    assert p.spec.restart_policy == "Always" and p.status.phase in ("Pending", "Running"), (
        f"{p.spec.restart_policy} {p.status}"
    )


@check("create twice: 409 AlreadyExists")
def _():
    return expect(409, v1.create_namespaced_pod, NS, pod("p1"))


@check("read missing: 404 NotFound")
def _():
    return expect(404, v1.read_namespaced_pod, "nope", NS)


@check("invalid pod (no containers): 422")
def _():
    return expect(
        422,
        raw,
        "POST",
        PODS,
        "application/json",
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "bad"},
            "spec": {"automountServiceAccountToken": False, "containers": []},
        },
    )


@check("bad name (Upper_Case): 422")
def _():
    return expect(422, v1.create_namespaced_pod, NS, pod("Bad_Name"))


@check("unknown field, fieldValidation=Strict: 400")
def _():
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "bad2"},
        "spec": {"automountServiceAccountToken": False, "containers": [{"name": "c", "image": "i", "imagee": "x"}]},
    }
    return expect(400, raw, "POST", PODS, "application/json", body, (("fieldValidation", "Strict"),))


@check("list: resourceVersion is a number")
def _():
    assert version_of(v1.list_namespaced_pod(NS)).isdigit()


# -- selectors ----------------------------------------------------------------------------------------------------
@check("label selector (equality)")
def _():
    v1.create_namespaced_pod(NS, pod("p2", {"app": "b"}))
    n = [p.metadata.name for p in v1.list_namespaced_pod(NS, label_selector="app=b").items]
    assert n == ["p2"], n


@check("label selector (set-based: app in (b,c),!x)")
def _():
    n = [p.metadata.name for p in v1.list_namespaced_pod(NS, label_selector="app in (b,c),!x").items]
    assert n == ["p2"], n


@check("field selector metadata.name")
def _():
    n = [p.metadata.name for p in v1.list_namespaced_pod(NS, field_selector="metadata.name=p1").items]
    assert n == ["p1"], n


@check("limit and continue")
def _():
    one = v1.list_namespaced_pod(NS, limit=1)
    assert len(one.items) == 1 and one.metadata._continue, one.metadata
    two = v1.list_namespaced_pod(NS, limit=1, _continue=one.metadata._continue)
    assert [p.metadata.name for p in one.items + two.items] == ["p1", "p2"] and not two.metadata._continue


# -- patches ------------------------------------------------------------------------------------------------------
@check("JSON patch")
def _():
    p = raw("PATCH", P1, JSONPATCH, [{"op": "add", "path": "/metadata/labels/jp", "value": "y"}])
    assert p["metadata"]["labels"]["jp"] == "y"


@check("merge patch (null deletes a key)")
def _():
    labels = raw("PATCH", P1, MERGE, {"metadata": {"labels": {"jp": None, "mp": "1"}}})["metadata"]["labels"]
    assert labels.get("mp") == "1" and "jp" not in labels, labels


@check("strategic merge patch (containers merged by name)")
def _():
    c = raw("PATCH", P1 + "?dryRun=All", STRATEGIC, {"spec": {"containers": [{"name": "main", "image": "busybox:2"}]}})[
        "spec"
    ]["containers"]
    assert len(c) == 1 and c[0]["image"] == "busybox:2" and c[0]["command"], c


@check("server-side apply creates")
def _():
    c = raw(
        "PATCH",
        f"/api/v1/namespaces/{NS}/configmaps/ssa",
        APPLY,
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "ssa"}, "data": {"a": "1"}},
        (("fieldManager", "probe"),),
    )
    assert c["data"] == {"a": "1"} and c["metadata"]["managedFields"][0]["operation"] == "Apply", c["metadata"]


@check("PUT with a stale resourceVersion: 409 Conflict")
def _():
    first = v1.create_namespaced_config_map(NS, cm("c1", data={"k": "1"}))
    second = v1.read_namespaced_config_map("c1", NS)
    second.data = {"k": "2"}
    v1.replace_namespaced_config_map("c1", NS, second)
    first.data = {"k": "3"}
    return expect(409, v1.replace_namespaced_config_map, "c1", NS, first)


@check("generateName")
def _():
    n = v1.create_namespaced_config_map(NS, cm(generate_name="gen-")).metadata.name
    assert n.startswith("gen-") and len(n) == 9, n


@check("immutable pod spec (change command): 422")
def _():
    return expect(422, raw, "PATCH", P1, STRATEGIC, {"spec": {"containers": [{"name": "main", "command": ["x"]}]}})


@check("secret: stringData becomes data")
def _():
    v1.create_namespaced_secret(NS, client.V1Secret(metadata=client.V1ObjectMeta(name="s1"), string_data={"k": "v"}))
    s = v1.read_namespaced_secret("s1", NS)
    assert s.data == {"k": "dg=="} and not s.string_data and s.type == "Opaque", s


@check("PVC create and read: Pending, or Bound where a class provisions")
def _():
    spec = client.V1PersistentVolumeClaimSpec(
        access_modes=["ReadWriteOnce"], resources=client.V1VolumeResourceRequirements(requests={"storage": "1Gi"})
    )
    v1.create_namespaced_persistent_volume_claim(
        NS, client.V1PersistentVolumeClaim(metadata=client.V1ObjectMeta(name="v1"), spec=spec)
    )
    c = v1.read_namespaced_persistent_volume_claim("v1", NS)
    assert (
        c.status.phase in ("Pending", "Bound")
        and c.metadata.finalizers == ["kubernetes.io/pvc-protection"]
        and c.spec.volume_mode == "Filesystem"
    ), c
    return c.status.phase


# -- subresources -------------------------------------------------------------------------------------------------
@check("status subresource: status is written, spec is not")
def _():
    p = raw(
        "PATCH",
        P1 + "/status",
        STRATEGIC,
        {"spec": {"containers": [{"name": "main", "image": "evil"}]}, "status": {"message": "m"}},
    )
    assert p["status"].get("message") == "m" and p["spec"]["containers"][0]["image"] != "evil", p


@check("the pod itself: status in a patch is ignored")
def _():
    assert raw("PATCH", P1, STRATEGIC, {"status": {"message": "hacked"}})["status"].get("message") != "hacked"


@check("ephemeralcontainers: PATCH adds one")
def _():
    p = v1.patch_namespaced_pod_ephemeralcontainers(
        "p1",
        NS,
        {
            "spec": {
                "ephemeralContainers": [
                    {"name": "dbg", "image": o.image, "imagePullPolicy": "IfNotPresent", "targetContainerName": "main"}
                ]
            }
        },
    )
    assert p.spec.ephemeral_containers[0].name == "dbg"
    assert v1.read_namespaced_pod("p1", NS).spec.ephemeral_containers[0].name == "dbg"


@check("ephemeralContainers not settable through the pod itself: 422")
def _():
    return expect(
        422, raw, "PATCH", P1, STRATEGIC, {"spec": {"ephemeralContainers": [{"name": "sneak", "image": "x"}]}}
    )


@check("ephemeral containers cannot be removed: 422")
def _():
    return expect(422, raw, "PATCH", P1 + "/ephemeralcontainers", MERGE, {"spec": {"ephemeralContainers": []}})


def runs(name: str) -> bool:
    s = v1.read_namespaced_pod(name, NS).status
    return bool(s and s.container_statuses and s.container_statuses[0].ready)


@check("log subresource")
def _():
    assert within(30, lambda: runs("p1")), "p1 does not run"
    # without a container's name: an ephemeral container does not count, so the pod's only container is meant
    assert within(5, lambda: (v1.read_namespaced_pod_log("p1", NS) or "").strip() == "hi")


@check("exec subresource (websocket)")
def _():
    core = client.CoreV1Api(client.ApiClient(cfg))  # stream() changes its ApiClient
    s = stream(
        core.connect_get_namespaced_pod_exec,
        "p1",
        NS,
        command=["sh", "-c", "echo ok; exit 3"],
        stdout=True,
        stderr=True,
        stdin=False,
        tty=False,
        _preload_content=False,
        _request_timeout=8,
    )
    s.run_forever(timeout=8)
    out = s.read_stdout()
    assert out == "ok\n" and s.returncode == 3, f"{out!r} {s.returncode}"


# -- watch --------------------------------------------------------------------------------------------------------
def events(n: int, rv: str | None = None, seconds: int = 4, during: Callable | None = None, **kw: Any) -> list:
    out, w = [], watch.Watch()
    if rv is not None:
        kw["resource_version"] = rv
    if during:
        threading.Timer(0.7, during).start()
    for e in w.stream(v1.list_namespaced_config_map, NS, timeout_seconds=seconds, _request_timeout=seconds + 4, **kw):
        out.append((e["type"], e["object"].metadata.name))
        if len(out) >= n:
            w.stop()
            break
    return out


def now() -> str:
    return version_of(v1.list_namespaced_config_map(NS))


@check("watch from a list's resourceVersion: only later events")
def _():
    e = events(1, now(), during=lambda: v1.create_namespaced_config_map(NS, cm("w1")))
    assert e == [("ADDED", "w1")], e


@check("watch replays what was missed since resourceVersion")
def _():
    rv = now()
    v1.create_namespaced_config_map(NS, cm("w2"))
    v1.delete_namespaced_config_map("w2", NS)
    e = events(2, rv)
    assert e == [("ADDED", "w2"), ("DELETED", "w2")], e


@check("watch with a label selector (out of the set: DELETED)")
def _():
    v1.create_namespaced_config_map(NS, cm("w3", labels={"in": "y"}))
    e = events(
        1,
        now(),
        label_selector="in=y",
        during=lambda: v1.patch_namespaced_config_map("w3", NS, {"metadata": {"labels": {"in": "n"}}}),
    )
    assert e == [("DELETED", "w3")], e


@check("watch: timeoutSeconds ends the stream")
def _():
    started = time.time()
    assert events(99, now(), 2) == []
    assert 1.5 < time.time() - started < 4, f"{time.time() - started:.1f} s"


@check("watch from resourceVersion 1: 410 Expired, or the history if the server still has it")
def _():
    try:
        return f"first event {events(1, '1', 1)}"
    except ApiException as e:  # the client raises for an ERROR event whose code is 410
        assert e.status == 410, e.status
        return f"410 {e.reason}"


# -- a pod's life -------------------------------------------------------------------------------------------------
@check("pod gets ready by itself")
def _():
    assert within(30, lambda: runs("p2"))


@check("delete pod with gracePeriodSeconds=1: gone within 10 s")
def _():
    v1.delete_namespaced_pod("p2", NS, grace_period_seconds=1)
    assert within(10, lambda: missing(v1.read_namespaced_pod, "p2", NS))


@check("finalizer keeps an object with deletionTimestamp")
def _():
    v1.create_namespaced_config_map(NS, cm("f1", finalizers=["x.example/f"]))
    v1.delete_namespaced_config_map("f1", NS)
    assert v1.read_namespaced_config_map("f1", NS).metadata.deletion_timestamp
    v1.patch_namespaced_config_map("f1", NS, {"metadata": {"finalizers": None}})
    expect(404, v1.read_namespaced_config_map, "f1", NS)


@check("delete with a wrong uid as precondition: 409")
def _():
    return expect(
        409,
        v1.delete_namespaced_config_map,
        "c1",
        NS,
        body=client.V1DeleteOptions(preconditions=client.V1Preconditions(uid="00000000-0000-0000-0000-000000000000")),
    )


@check("deletecollection with a label selector")
def _():
    for i in "ab":
        v1.create_namespaced_config_map(NS, cm("dc-" + i, labels={"dc": i}))
    v1.delete_collection_namespaced_config_map(NS, label_selector="dc=a")
    n = [c.metadata.name for c in v1.list_namespaced_config_map(NS, label_selector="dc").items]
    assert n == ["dc-b"], n


@check("dryRun=All stores nothing")
def _():
    v1.create_namespaced_config_map(NS, cm("dry"), dry_run="All")
    return expect(404, v1.read_namespaced_config_map, "dry", NS)


@check("events: create and list by involvedObject")
def _():
    v1.create_namespaced_event(
        NS,
        client.CoreV1Event(
            metadata=client.V1ObjectMeta(name="e1", namespace=NS),
            involved_object=client.V1ObjectReference(kind="Pod", name="p1", namespace=NS),
            reason="R",
            message="m",
            type="Normal",
        ),
    )
    assert "R" in [e.reason for e in v1.list_namespaced_event(NS, field_selector="involvedObject.name=p1").items]


@check("dynamic client discovery")
def _():
    return DynamicClient(client.ApiClient(cfg)).resources.get(api_version="v1", kind="Pod").name


@check("delete namespace removes what is in it (its pods take their grace time)")
def _():
    v1.delete_namespace(NS)
    assert within(90, lambda: missing(v1.read_namespace, NS)), "still Terminating"


good = sum(r[1] for r in results)
print(f"\n{good} passed, {len(results) - good} failed")
sys.exit(good != len(results))
