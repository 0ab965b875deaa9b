"""The few requests the stack itself sends to the cluster, as its administrator."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import requests
import yaml

TIMEOUT_SECONDS = 30.0
CLUSTER_WIDE = frozenset(
    {"Namespace", "ClusterRole", "ClusterRoleBinding", "PersistentVolume", "StorageClass", "PriorityClass", "Node"}
)


class ClusterError(RuntimeError):
    """The cluster refused a request; `status` is the HTTP status."""

    def __init__(self, what: str, status: int, message: str) -> None:
        super().__init__(f"{what}: {status} {message}")
        self.status = status


class ClusterClient:
    """Requests with the credentials of a kubeconfig (bearer token, plain or TLS)."""

    def __init__(self, kubeconfig: Path) -> None:
        document = yaml.safe_load(kubeconfig.read_text())
        cluster = document["clusters"][0]["cluster"]
        self.server = str(cluster["server"]).rstrip("/")
        self.ca_pem = base64.b64decode(cluster.get("certificate-authority-data", "")).decode()
        self._http = requests.Session()
        self._http.trust_env = False
        if self.ca_pem:
            # requests wants a file.
            ca_file = kubeconfig.with_name(f"{kubeconfig.name}.ca")
            ca_file.write_text(self.ca_pem)
            self._http.verify = str(ca_file)
        self.token = str(document["users"][0]["user"]["token"])
        self._http.headers["Authorization"] = f"Bearer {self.token}"

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def request(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Any:
        """One request; the decoded JSON answer. Raises ClusterError, or requests.RequestException for the wire."""
        answer = self._http.request(
            method, self.server + path, json=body, headers={"Content-Type": content_type}, timeout=TIMEOUT_SECONDS
        )
        try:
            decoded = answer.json()
        except ValueError:
            decoded = answer.text
        if not answer.ok:
            message = decoded.get("message", "") if isinstance(decoded, dict) else str(decoded)[:200]
            raise ClusterError(f"{method} {path}", answer.status_code, message)
        return decoded

    def apply_file(self, path: Path, namespace: str) -> list[str]:
        """Create or update what a manifest holds; gives `kind/name` of each. Raises ClusterError."""
        done = []
        for document in yaml.safe_load_all(path.read_text()):
            if document:
                self._apply(document, namespace)
                done.append(f"{document['kind'].lower()}/{document['metadata']['name']}")
        return done

    def _apply(self, obj: dict[str, Any], namespace: str) -> None:
        group, kind, name = obj["apiVersion"], obj["kind"], obj["metadata"]["name"]
        if kind == "Namespace":
            obj["metadata"]["name"] = name = namespace
        for subject in obj.get("subjects") or ():
            if subject.get("namespace"):
                subject["namespace"] = namespace
        base = f"/apis/{group}" if "/" in group else f"/api/{group}"
        if kind not in CLUSTER_WIDE:
            base += f"/namespaces/{namespace}"
        collection = f"{base}/{_plural(kind)}"
        try:
            self.request("POST", collection, obj)
        except ClusterError as error:
            if error.status != 409:
                raise
            self.request("PATCH", f"{collection}/{name}", obj, "application/merge-patch+json")

    def service_account_token(self, namespace: str, name: str, seconds: int) -> str:
        """A bound token of a service account. Raises ClusterError."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        spec = {"expirationSeconds": seconds}
        answer = self.request(
            "POST", path, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        )
        return str(answer["status"]["token"])


def _plural(kind: str) -> str:
    lower = kind.lower()
    return f"{lower[:-1]}ies" if lower.endswith("y") else f"{lower}es" if lower.endswith("s") else f"{lower}s"
