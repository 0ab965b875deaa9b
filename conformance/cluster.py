"""The cluster under test, as its administrator: any kubeconfig the official client can read."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from kubernetes import config as kubernetes_config
from kubernetes.client import ApiClient, Configuration

from devstack.cluster.kubeconfig import write_kubeconfig

ROOT = Path(__file__).resolve().parent.parent
RIGHTS = ROOT / "deploy" / "10-rbac.yaml"
SERVICE_ACCOUNT = "pyos-serviceaccount"
CALL_SECONDS = 30.0
READY_SECONDS = 60.0
REMOVAL_SECONDS = 180.0
TOKEN_SECONDS = 3 * 3600
COLLECTIONS = {
    "ServiceAccount": "/api/v1/namespaces/{namespace}/serviceaccounts",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings",
}


class ClusterError(RuntimeError):
    """The API refused a call; ``status`` is the HTTP status."""

    def __init__(self, what: str, status: int, message: str) -> None:
        super().__init__(f"{what}: {status} {message}")
        self.status = status


class Cluster:
    """Calls as the kubeconfig's user. Raises kubernetes.config.ConfigException for an unusable kubeconfig."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        self._configuration = Configuration()
        kubernetes_config.load_kube_config(str(kubeconfig), client_configuration=self._configuration)  # type: ignore[no-untyped-call]
        self._pool = ApiClient(self._configuration).rest_client.pool_manager

    @property
    def server(self) -> str:
        """Address of the API server."""
        return str(self._configuration.host).rstrip("/")

    def call(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Any:
        """One call; the decoded JSON. Raises ClusterError."""
        headers = {"Accept": "application/json", "Content-Type": content_type}
        settings: Any = self._configuration.auth_settings()
        for setting in settings.values():
            if setting["in"] == "header" and setting["value"]:
                headers[setting["key"]] = setting["value"]
        answer = self._pool.request(
            method,
            self.server + path,
            body=None if body is None else json.dumps(body).encode(),
            headers=headers,
            timeout=CALL_SECONDS,
            retries=False,
        )
        try:
            decoded = json.loads(answer.data or b"{}")
        except ValueError:
            decoded = {"message": answer.data[:200].decode("utf-8", "replace")}
        if answer.status >= 400:
            raise ClusterError(f"{method} {path}", answer.status, str(decoded.get("message", "")))
        return decoded

    def version(self) -> str:
        """The API server's version."""
        return str(self.call("GET", "/version").get("gitVersion", "unknown"))

    @contextlib.contextmanager
    def namespace(self, name: str) -> Iterator[str]:
        """A new namespace, removed with all that is in it at the end. Raises ClusterError when there is one."""
        labels = {"pod-security.kubernetes.io/enforce": "privileged"}
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
        self.call("POST", "/api/v1/namespaces", body)
        try:
            # without its default account no pod may be created in it
            self._until(f"/api/v1/namespaces/{name}/serviceaccounts/default", READY_SECONDS, there=True)
            yield name
        finally:
            with contextlib.suppress(ClusterError):
                self.call("DELETE", f"/api/v1/namespaces/{name}")
            self._until(f"/api/v1/namespaces/{name}", REMOVAL_SECONDS, there=False)

    def _until(self, path: str, seconds: float, *, there: bool) -> None:
        end = time.monotonic() + seconds
        while True:
            try:
                self.call("GET", path)
                found = True
            except ClusterError as error:
                if error.status != 404:
                    raise
                found = False
            if found is there:
                return
            if time.monotonic() > end:
                raise ClusterError(f"GET {path}", 504, f"still {'missing' if there else 'there'} after {seconds:.0f} s")
            time.sleep(0.2)

    def pyos_kubeconfig(self, namespace: str, path: Path) -> Path:
        """Give pyos its account with the rights of deploy/ in the namespace; its kubeconfig is written to ``path``."""
        for document in yaml.safe_load_all(RIGHTS.read_text(encoding="utf-8")):
            if not document:
                continue
            for subject in document.get("subjects") or ():
                subject["namespace"] = namespace
            self.call("POST", COLLECTIONS[document["kind"]].format(namespace=namespace), document)
        spec = {"expirationSeconds": TOKEN_SECONDS}
        answer = self.call(
            "POST",
            f"/api/v1/namespaces/{namespace}/serviceaccounts/{SERVICE_ACCOUNT}/token",
            {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec},
        )
        authority = self._configuration.ssl_ca_cert
        written = write_kubeconfig(
            path,
            self.server,
            answer["status"]["token"],
            namespace,
            ca_pem=Path(authority).read_text(encoding="utf-8") if authority else "",
            user=SERVICE_ACCOUNT,
        )
        if not self._configuration.verify_ssl or self._configuration.tls_server_name:
            self._keep_tls_settings(written)
        return written

    def _keep_tls_settings(self, path: Path) -> None:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        cluster = document["clusters"][0]["cluster"]
        if not self._configuration.verify_ssl:
            cluster.pop("certificate-authority-data", None)
            cluster["insecure-skip-tls-verify"] = True
        if self._configuration.tls_server_name:
            cluster["tls-server-name"] = self._configuration.tls_server_name
        path.write_text(yaml.safe_dump(document), encoding="utf-8")

    def pods(self, namespace: str, selector: str = "") -> list[dict[str, Any]]:
        """The pods of the namespace that are not being deleted."""
        path = f"/api/v1/namespaces/{namespace}/pods" + (f"?labelSelector={selector}" if selector else "")
        found = self.call("GET", path)["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def secrets(self, namespace: str, user: str) -> list[dict[str, Any]]:
        """The secrets of a user."""
        found = self.call("GET", f"/api/v1/namespaces/{namespace}/secrets?labelSelector=access_userid%3D{user}")
        return list(found["items"])
