"""The server over its wire: objects, watches, rights, admission, faults on order."""

from __future__ import annotations

import base64
import http.client
import ssl
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from .bed import APPLY, STRATEGIC, Bed, pod


def config_map(name: str, **more: Any) -> dict[str, Any]:
    metadata = {"name": name, **more.pop("metadata", {})}
    return {"metadata": metadata, **more}


# -- objects ---------------------------------------------------------------------------------------------------------
def test_two_writers_from_the_same_version_one_wins(bed: Bed, space: str) -> None:
    path = f"{space}/configmaps/c"
    created = bed.post(f"{space}/configmaps", config_map("c", data={"k": "0"})).body
    first, second = ({**created, "data": {"k": value}} for value in "12")
    assert bed.ask("PUT", path, first).status == 200
    answer = bed.ask("PUT", path, second)
    assert (answer.status, answer.body["reason"]) == (409, "Conflict")
    assert bed.get(path).body["data"] == {"k": "1"}


def test_generated_names_are_distinct(bed: Bed, space: str) -> None:
    body = {"metadata": {"generateName": "g-"}}
    names = {bed.post(f"{space}/configmaps", body).body["metadata"]["name"] for _ in range(20)}
    assert len(names) == 20


def test_a_dry_run_stores_nothing(bed: Bed, space: str) -> None:
    assert bed.post(f"{space}/pods?dryRun=All", pod()).status == 201
    assert bed.get(f"{space}/pods/p").status == 404


def test_strict_validation_refuses_an_unknown_field_and_otherwise_warns(bed: Bed, space: str) -> None:
    body = pod(typo=1)
    answer = bed.post(f"{space}/pods?fieldValidation=Strict", body)
    assert answer.status == 400
    assert 'unknown field "spec.typo"' in answer.message
    answer = bed.post(f"{space}/pods", body)
    assert answer.status == 201
    assert "spec.typo" in answer.headers["Warning"]
    assert "typo" not in answer.body["spec"]


def test_deleting_an_owner_deletes_what_it_owns(bed: Bed, space: str) -> None:
    owner = bed.post(f"{space}/configmaps", config_map("owner")).body["metadata"]
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["uid"]}
    bed.post(f"{space}/secrets", {"metadata": {"name": "owned", "ownerReferences": [reference]}})
    assert bed.delete(f"{space}/configmaps/owner").status == 200
    assert bed.get(f"{space}/secrets/owned").status == 404


def test_orphans_stay_when_asked_for(bed: Bed, space: str) -> None:
    owner = bed.post(f"{space}/configmaps", config_map("owner")).body["metadata"]
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["uid"]}
    bed.post(f"{space}/secrets", {"metadata": {"name": "owned", "ownerReferences": [reference]}})
    bed.delete(f"{space}/configmaps/owner?propagationPolicy=Orphan")
    assert "ownerReferences" not in bed.get(f"{space}/secrets/owned").body["metadata"]


def test_a_body_beyond_the_limit_is_refused(bed: Bed, space: str) -> None:
    assert bed.post(f"{space}/configmaps", b'"' + b"x" * (3 * 1024 * 1024)).status == 413


def test_pages_together_are_the_list(bed: Bed, space: str) -> None:
    for name in "abcde":
        bed.post(f"{space}/configmaps", config_map(name))
    names: list[str] = []
    token = ""
    while True:
        page = bed.get(f"{space}/configmaps?limit=2&continue={token}").body
        names += [item["metadata"]["name"] for item in page["items"]]
        token = page["metadata"].get("continue", "")
        if not token:
            break
    assert names == list("abcde")


def test_a_page_shows_the_state_of_the_first_one(bed: Bed, space: str) -> None:
    for name in "abc":
        bed.post(f"{space}/configmaps", config_map(name))
    token = bed.get(f"{space}/configmaps?limit=1").body["metadata"]["continue"]
    bed.delete(f"{space}/configmaps/b")
    bed.post(f"{space}/configmaps", config_map("d"))
    rest = bed.get(f"{space}/configmaps?limit=5&continue={token}").body["items"]
    assert [item["metadata"]["name"] for item in rest] == ["b", "c"]


def test_an_ephemeral_container_is_added_and_never_removed(bed: Bed, space: str) -> None:
    bed.post(f"{space}/pods", pod())
    path = f"{space}/pods/p/ephemeralcontainers"
    added = {"spec": {"ephemeralContainers": [{"name": "e", "image": "i"}]}}
    answer = bed.patch(path, added, STRATEGIC)
    assert answer.status == 200
    assert answer.body["spec"]["ephemeralContainers"][0]["name"] == "e"
    assert bed.patch(path, {"spec": {"ephemeralContainers": []}}).status == 422
    assert bed.patch(f"{space}/pods/p", {"spec": {"ephemeralContainers": []}}).status == 422


def test_two_appliers_conflict_until_one_forces(bed: Bed, space: str) -> None:
    path = f"{space}/configmaps/c"

    def apply(manager: str, value: str, force: str = "false") -> Any:
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"k": value}}
        return bed.patch(f"{path}?fieldManager={manager}&force={force}", body, APPLY)

    assert apply("one", "1").status == 201
    answer = apply("two", "2")
    assert (answer.status, answer.body["details"]["causes"][0]["field"]) == (409, ".data.k")
    assert apply("two", "2", "true").body["data"] == {"k": "2"}
    assert [entry["manager"] for entry in bed.get(path).body["metadata"]["managedFields"]] == ["two"]


def test_yaml_is_read_and_written(bed: Bed, space: str) -> None:
    text = b"metadata: {name: y}\ndata: {k: v}\n"
    assert bed.post(f"{space}/configmaps", text, content_type="application/yaml").status == 201
    answer = bed.get(f"{space}/configmaps/y", accept="application/yaml")
    assert yaml.safe_load(answer.body)["data"] == {"k": "v"}


def test_a_scale_changes_the_replicas(bed: Bed, space: str) -> None:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    path = space.replace("/api/v1", "/apis/apps/v1") + "/deployments"
    assert bed.post(path, {"metadata": {"name": "d"}, "spec": spec}).status == 201
    assert bed.patch(f"{path}/d/scale", {"spec": {"replicas": 4}}).body["spec"] == {"replicas": 4}
    assert bed.get(f"{path}/d").body["spec"]["replicas"] == 4
    assert bed.patch(f"{path}/d/scale", {"spec": {"replicas": -1}}).status == 422


def test_a_proxy_is_not_taken_for_the_pod(bed: Bed, space: str) -> None:
    bed.post(f"{space}/pods", pod())
    assert bed.get(f"{space}/pods/p/proxy").status == 501


# -- watches ---------------------------------------------------------------------------------------------------------
def test_a_watch_sees_every_change_of_its_selection_once(bed: Bed, space: str) -> None:
    version = bed.get(f"{space}/configmaps").body["metadata"]["resourceVersion"]
    with bed.watch(f"{space}/configmaps", resourceVersion=version, labelSelector="in=y") as following:
        bed.post(f"{space}/configmaps", config_map("other"))
        bed.post(f"{space}/configmaps", config_map("a", metadata={"labels": {"in": "y"}}))
        bed.patch(f"{space}/configmaps/a", {"data": {"k": "v"}})
        bed.patch(f"{space}/configmaps/a", {"metadata": {"labels": {"in": "n"}}})
        events = [following() for _ in range(3)]
    assert [event["type"] for event in events] == ["ADDED", "MODIFIED", "DELETED"]
    assert {event["object"]["metadata"]["name"] for event in events} == {"a"}


def test_a_dropped_watch_resumes_without_a_gap(bed: Bed, space: str) -> None:
    version = bed.get(f"{space}/configmaps").body["metadata"]["resourceVersion"]
    with bed.watch(f"{space}/configmaps", resourceVersion=version) as following:
        bed.post(f"{space}/configmaps", config_map("a"))
        seen = following()["object"]["metadata"]["resourceVersion"]
        assert bed.admin("DELETE", "watches?resource=configmaps").body["ended"] >= 1
        assert following() is None
    bed.post(f"{space}/configmaps", config_map("b"))
    with bed.watch(f"{space}/configmaps", resourceVersion=seen) as following:
        assert following()["object"]["metadata"]["name"] == "b"


def test_after_compaction_an_old_watch_gets_410(bed: Bed, space: str) -> None:
    version = bed.get(f"{space}/configmaps").body["metadata"]["resourceVersion"]
    bed.post(f"{space}/configmaps", config_map("a"))
    bed.admin("POST", "compact")
    with bed.watch(f"{space}/configmaps", resourceVersion=version) as following:
        event = following()
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")


def test_a_silent_watch_stays_open_and_says_nothing(bed: Bed, space: str) -> None:
    with bed.watch(f"{space}/configmaps", timeoutSeconds=1) as following:
        while bed.admin("POST", "watches", {"silent": True, "resource": "configmaps"}).body["changed"] < 1:
            time.sleep(0.01)
        bed.post(f"{space}/configmaps", config_map("unseen"))
        assert following() is None


# -- who may do what -------------------------------------------------------------------------------------------------
def grant(bed: Bed, space: str, account: str, rules: list[dict[str, Any]]) -> str:
    """The token of a new account with these rules in its namespace."""
    namespace = space.rsplit("/", 1)[1]
    roles = space.replace("/api/v1", "/apis/rbac.authorization.k8s.io/v1")
    bed.post(f"{space}/serviceaccounts", {"metadata": {"name": account}})
    bed.post(f"{roles}/roles", {"metadata": {"name": account}, "rules": rules})
    subject = {"kind": "ServiceAccount", "name": account, "namespace": namespace}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": account}
    bed.post(f"{roles}/rolebindings", {"metadata": {"name": account}, "roleRef": reference, "subjects": [subject]})
    answer = bed.post(f"{space}/serviceaccounts/{account}/token", {"spec": {}})
    assert answer.status == 201
    return str(answer.body["status"]["token"])


def test_an_account_may_do_what_its_role_says_and_nothing_else(bed: Bed, space: str) -> None:
    token = grant(bed, space, "reader", [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}])
    assert bed.get(f"{space}/configmaps", token=token).status == 200
    assert bed.get(f"{space}/configmaps/x", token=token).status == 403
    assert bed.get(f"{space}/secrets", token=token).status == 403
    assert bed.get("/api/v1/namespaces/default/configmaps", token=token).status == 403


def test_a_changed_role_counts_at_once(bed: Bed, space: str) -> None:
    rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}
    token = grant(bed, space, "reader", [rule])
    assert bed.get(f"{space}/configmaps", token=token).status == 200
    roles = space.replace("/api/v1", "/apis/rbac.authorization.k8s.io/v1")
    bed.patch(f"{roles}/roles/reader", {"rules": []})
    assert bed.get(f"{space}/configmaps", token=token).status == 403


def test_a_deleted_account_loses_its_token(bed: Bed, space: str) -> None:
    token = grant(bed, space, "gone", [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}])
    bed.delete(f"{space}/serviceaccounts/gone")
    assert bed.get(f"{space}/configmaps", token=token).status == 401


@pytest.mark.parametrize("token", ["nonsense", "a.b.c", "x" * 20_000])
def test_a_wrong_token_is_unauthorized(bed: Bed, space: str, token: str) -> None:
    answer = bed.get(f"{space}/configmaps", token=token)
    assert answer.status in (400, 401)
    assert token[:100] not in str(answer.body)


def test_without_a_token_only_health_and_version_are_told(bed: Bed, space: str) -> None:
    assert bed.get("/healthz", token="").status == 200
    assert bed.get("/version", token="").status == 200
    assert bed.get(f"{space}/configmaps", token="").status == 403


def test_nobody_grants_more_than_he_has(bed: Bed, space: str) -> None:
    own = {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"], "verbs": ["create"]}
    token = grant(bed, space, "climber", [own])
    roles = space.replace("/api/v1", "/apis/rbac.authorization.k8s.io/v1")
    more = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["*"]}]
    answer = bed.post(f"{roles}/roles", {"metadata": {"name": "more"}, "rules": more}, token=token)
    assert answer.status == 403
    assert "not currently held" in answer.message


# -- admission -------------------------------------------------------------------------------------------------------
def test_a_pod_gets_the_token_of_its_account(bed: Bed, space: str) -> None:
    created = bed.post(f"{space}/pods", pod()).body["spec"]
    assert created["serviceAccountName"] == "default"
    assert created["containers"][0]["volumeMounts"][0]["mountPath"].endswith("/serviceaccount")
    plain = bed.post(f"{space}/pods", pod("q", automountServiceAccountToken=False)).body["spec"]
    assert "volumes" not in plain


def test_nothing_is_made_in_a_namespace_that_goes(bed: Bed, space: str) -> None:
    bed.post(f"{space}/configmaps", config_map("kept", metadata={"finalizers": ["x.example/f"]}))
    assert bed.delete(space).body["status"]["phase"] == "Terminating"
    answer = bed.post(f"{space}/configmaps", config_map("late"))
    assert (answer.status, answer.body["details"]["causes"][0]["reason"]) == (403, "NamespaceTerminating")


def test_a_quota_limits_what_a_namespace_holds(bed: Bed, space: str) -> None:
    quota = {"metadata": {"name": "q"}, "spec": {"hard": {"pods": "1", "requests.cpu": "1"}}}
    assert bed.post(f"{space}/resourcequotas", quota).status == 201
    containers = [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "600m"}}}]
    assert bed.post(f"{space}/pods", pod("a", containers=containers)).status == 201
    answer = bed.post(f"{space}/pods", pod("b", containers=containers))
    assert answer.status == 403
    assert "exceeded quota: q" in answer.message


# -- faults on order -------------------------------------------------------------------------------------------------
def test_a_fault_comes_as_often_as_ordered(bed: Bed, space: str) -> None:
    rule = {"verb": "create", "resource": "configmaps", "status": 429, "retry_after_s": 3, "count": 2}
    assert bed.admin("POST", "faults", rule).status == 200
    answers = [bed.post(f"{space}/configmaps", config_map(name)) for name in "abc"]
    assert [answer.status for answer in answers] == [429, 429, 201]
    assert answers[0].headers["Retry-After"] == "3"
    assert answers[0].body["details"]["retryAfterSeconds"] == 3


def test_a_fault_after_the_request_leaves_the_object(bed: Bed, space: str) -> None:
    bed.admin("POST", "faults", {"verb": "create", "resource": "pods", "status": 503, "after": True, "count": 1})
    assert bed.post(f"{space}/pods", pod()).status == 503
    assert bed.get(f"{space}/pods/p").status == 200


def test_a_dropped_connection_gives_no_answer(bed: Bed, space: str) -> None:
    bed.admin("POST", "faults", {"resource": "configmaps", "name": "c", "drop": True, "count": 1})
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        bed.get(f"{space}/configmaps/c")
    assert bed.get(f"{space}/configmaps/c").status == 404


def test_a_fault_meets_only_what_it_names(bed: Bed, space: str) -> None:
    bed.admin("POST", "faults", {"resource": "secrets", "name": "x-*", "status": 500})
    assert bed.get(f"{space}/secrets/x-1").status == 500
    assert bed.get(f"{space}/secrets/y-1").status == 404
    bed.admin("DELETE", "faults")
    assert bed.get(f"{space}/secrets/x-1").status == 404


def test_the_log_tells_who_asked_for_what(bed: Bed, space: str) -> None:
    bed.admin("DELETE", "requests")
    bed.get(f"{space}/pods?labelSelector=a%3Db")
    bed.post(f"{space}/pods", pod())
    seen = bed.admin("GET", "requests").body
    assert seen["counters"] == {"list pods 200": 1, "create pods 201": 1}
    assert [entry["label_selector"] for entry in seen["requests"]] == [True, False]
    assert {entry["user"] for entry in seen["requests"]} == {"kubernetes-admin"}


def test_a_pod_rule_names_the_pods_that_misbehave(bed: Bed, space: str) -> None:
    bed.admin("POST", "pod-rules", {"labels": {"bad": "y"}, "failure": "OOMKilled", "after_s": 1.5, "count": 1})

    def behaviour(name: str, label: str) -> Any:
        asked = {"metadata": {"name": name, "uid": name, "labels": {"bad": label}}, "spec": {}}
        return bed.call(bed.cluster.faults.behaviour_of, asked)

    assert behaviour("good", "n").failure == ""
    assert (behaviour("first", "y").failure, behaviour("first", "y").after_s) == ("OOMKilled", 1.5)
    assert behaviour("second", "y").failure == ""


@pytest.mark.parametrize("body", [{"nonsense": 1}, {"status": "x"}, b"{", [1]])
def test_a_rule_that_cannot_be_read_is_refused(bed: Bed, space: str, body: Any) -> None:
    assert bed.admin("POST", "faults", body).status == 400


def test_the_admin_endpoint_wants_its_own_token(bed: Bed) -> None:
    assert bed.admin("GET", "requests", token=bed.cluster.admin_token).status == 401
    assert bed.admin("GET", "nothing").status == 404


# -- starting and stopping -------------------------------------------------------------------------------------------
def test_a_cluster_with_tls_is_trusted_by_its_kubeconfig(tmp_path: Path) -> None:
    bed = Bed(tmp_path / "state", tls=True)
    try:
        path = bed.call(bed.cluster.write_admin_kubeconfig, tmp_path / "kubeconfig")
        document = yaml.safe_load(path.read_text())
        assert path.stat().st_mode & 0o777 == 0o600
        authority = base64.b64decode(document["clusters"][0]["cluster"]["certificate-authority-data"]).decode()
        context = ssl.create_default_context(cadata=authority)
        connection = http.client.HTTPSConnection("127.0.0.1", bed.cluster.port, context=context, timeout=10)
        headers = {"Authorization": f"Bearer {document['users'][0]['user']['token']}"}
        connection.request("GET", "/api/v1/namespaces/default", headers=headers)
        response = connection.getresponse()
        assert response.status == 200
        response.close()
        connection.close()
    finally:
        bed.close()


def test_a_stopped_cluster_ends_its_watches(tmp_path: Path) -> None:
    bed = Bed(tmp_path / "state")
    with bed.watch("/api/v1/pods") as following:
        bed.close()
        assert following() is None
