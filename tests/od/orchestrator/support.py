"""What the tests of the orchestrator share: settings, clients, progress recorders, the cluster's admin endpoint."""

from __future__ import annotations

import copy
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import requests
from kubernetes import config as kubernetes_config
from kubernetes.client import Configuration

from devstack.clusterclient import ClusterError
from devstack.stack import Stack
from oc.model.identity import ClientInfo, PosixAccount
from oc.od.settings import Settings, settings_from_mapping

NAMESPACE = "abcdesktop"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
SECRETS = f"/api/v1/namespaces/{NAMESPACE}/secrets"
CLAIMS = f"/api/v1/namespaces/{NAMESPACE}/persistentvolumeclaims"
EVERYBODY = {"permit": ["all"]}
CLIENT = ClientInfo(ipaddr="203.0.113.7", useragent="Mozilla/5.0", os_family="linux", locale="en_US")


POD_TEMPLATE: dict[str, Any] = {
    "spec": {},
    "init": {
        "enable": True,
        "acl": EVERYBODY,
        "image": "busybox",
        "command": ["sh", "-c", "true"],
        "volumes": ["tmp"],
    },
    "graphical": {
        "enable": True,
        "acl": EVERYBODY,
        "image": "example/desktop:1",
        "tcpport": 6081,
        "waitportbin": "/composer/node/wait-port/node_modules/.bin/wait-port",
        "healtzbin": "/usr/bin/curl",
        "healtzbintimeout": 3000,
        "secrets_requirement": ["all"],
        "waitfor_services": ["xserver", "novnc"],
        "waitfor_processes": ["plasmashell"],
        "waitfor_listeningservices": ["graphical"],
    },
    "filer": {"enable": True, "acl": EVERYBODY, "image": "example/filer:1", "tcpport": 29783},
    "ephemeral_container": {"enable": True, "acl": EVERYBODY},
    "pod_application": {"enable": True, "acl": EVERYBODY},
}


def settings_with(*, image: str = "example/desktop:1", **changes: Any) -> Settings:
    """Settings with a small desktop of two containers; ``changes`` are od.config keys (``.`` may be ``__``)."""
    template = copy.deepcopy(POD_TEMPLATE)
    template["graphical"]["image"] = image
    values: dict[str, Any] = {
        "desktop.homedirectorytype": None,
        "desktop.podlevelresources": False,
        "desktop.pod": template,
    }
    values.update({key.replace("__", "."): value for key, value in changes.items()})
    return settings_from_mapping(values)


def account_files(account: PosixAccount) -> dict[str, str]:
    """The account files of a login, as small as they may be."""
    line = f"{account.uid}:x:{account.uidNumber}:{account.gidNumber}::{account.homeDirectory}:/bin/bash\n"
    return {
        "passwd": line,
        "shadow": f"{account.uid}:*:19080:0:99999:7:::\n",
        "group": f"{account.uid}:x:{account.gidNumber}:{account.uid}\n",
        "gshadow": f"{account.uid}:!::{account.uid}\n",
    }


@dataclass
class Progress:
    """Remembers the texts a launch tells."""

    texts: list[str] = field(default_factory=list)

    def __call__(self, text: str) -> None:
        self.texts.append(text)

    def has(self, start: str) -> bool:
        return any(text.startswith(start) for text in self.texts)


class ClusterAdmin:
    """The cluster's administrator, and the endpoint by which faults are ordered."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._http = requests.Session()
        self._http.trust_env = False
        self._http.headers["Authorization"] = f"Bearer {stack.devstack_token}"
        trusted = Configuration()
        kubernetes_config.load_kube_config(str(stack.kubeconfig), client_configuration=trusted)
        self._http.verify = trusted.ssl_ca_cert or True

    def api(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Any:
        return self._stack.cluster_admin(method, path, body, content_type)

    def devstack(self, method: str, path: str, body: Any = None) -> Any:
        answer = self._http.request(method, f"{self._stack.server_url}/_devstack/{path}", json=body, timeout=20)
        answer.raise_for_status()
        return answer.json()

    def reset(self) -> None:
        self.devstack("POST", "reset")

    def fault(self, **rule: Any) -> None:
        self.devstack("POST", "faults", rule)

    def behave(self, **rule: Any) -> None:
        self.devstack("POST", "pod-rules", rule)

    def no_faults(self) -> None:
        self.devstack("DELETE", "faults")
        self.devstack("DELETE", "pod-rules")

    def pods(self, userid: str) -> list[dict[str, Any]]:
        found = self.api("GET", f"{PODS}?labelSelector=access_userid%3D{userid}")["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def secrets(self, userid: str) -> list[dict[str, Any]]:
        return self.api("GET", f"{SECRETS}?labelSelector=access_userid%3D{userid}")["items"]  # type: ignore[no-any-return]

    def exists(self, path: str) -> bool:
        try:
            self.api("GET", path)
        except ClusterError as error:
            if error.status == 404:
                return False
            raise
        return True

    def requests_seen(self) -> list[dict[str, Any]]:
        return self.devstack("GET", "requests")["requests"]  # type: ignore[no-any-return]

    def requests_of(self, resource: str) -> list[dict[str, Any]]:
        """The calls of pyos on a resource."""
        return [seen for seen in self.requests_seen() if seen["resource"] == resource and "pyos" in seen["user"]]

    def forget_requests(self) -> None:
        self.devstack("DELETE", "requests")

    @contextmanager
    def counted(self) -> Iterator[Counter[str]]:
        """Counts the calls pyos makes inside, as ``verb resource``; watches and the admin's own calls do not count."""
        counter: Counter[str] = Counter()
        began = time.time()
        self.forget_requests()
        yield counter
        for seen in self.requests_seen():
            # The log gets a call when it ends: an exec from before may be closed only now.
            if seen["time"] - seen["duration_ms"] / 1000 < began:
                continue
            if seen["verb"] != "watch" and "pyos" in seen["user"]:
                counter[f"{seen['verb']} {seen['resource']}"] += 1
                if seen["verb"] == "list" and not seen["label_selector"]:
                    counter["unlabelled lists"] += 1
