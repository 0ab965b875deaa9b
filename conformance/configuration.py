"""pyos for one namespace of any cluster: small images, no readiness of services that they lack."""

from __future__ import annotations

from typing import Any

SCRIPTS = "/composer"
STAY = "trap 'exit 0' TERM INT; echo {said}; while :; do sleep 1; done"
DESKTOP_SAYS = "the desktop has started"
APPLICATION_SAYS = "the application has started"
EVERYBODY = {"permit": ["all"]}

# The init container puts the programs there that pyos expects in images of its own.
PREPARE = f"""
printf '%s\\n' '#!/bin/sh' "trap 'exit 0' TERM" 'echo {APPLICATION_SAYS}' 'while :; do sleep 1; done' \\
  > {SCRIPTS}/appli-docker-entrypoint.sh
printf '%s\\n' '#!/bin/sh' 'echo 0' > {SCRIPTS}/connectcount.sh
printf '%s\\n' '#!/bin/sh' 'exit 0' > {SCRIPTS}/ready
chmod 755 {SCRIPTS}/appli-docker-entrypoint.sh {SCRIPTS}/connectcount.sh {SCRIPTS}/ready
"""


def overrides(namespace: str, image: str) -> dict[str, Any]:
    """Keys of od.config over the shipped ones."""
    small = {"requests": {"memory": "16Mi", "cpu": "10m"}, "limits": {"memory": "128Mi", "cpu": "500m"}}
    context = {"allowPrivilegeEscalation": False, "runAsUser": "{{ uidNumber }}", "runAsGroup": "{{ gidNumber }}"}
    common = {"enable": True, "acl": EVERYBODY, "imagePullPolicy": "IfNotPresent"}
    mounted = ["composer", "tmp"]
    return {
        "namespace": namespace,
        "memcacheserver": "local",
        "memcacheport": None,
        "K8S_CREATE_POD_TIMEOUT_SECONDS": 180,
        "desktop.homedirectorytype": None,
        "executeclasses": {"default": {"nodeSelector": {}, "resources": small}},
        "desktop.pod": {
            "spec": {"shareProcessNamespace": False, "shareProcessMemory": False, "tolerations": []},
            "default_volumes": {
                "tmp": {"name": "tmp", "emptyDir": {"sizeLimit": "16Mi"}},
                "composer": {"name": "composer", "emptyDir": {"sizeLimit": "1Mi"}},
            },
            "default_volumes_mount": {
                "tmp": {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108  (in the container)
                "composer": {"name": "composer", "mountPath": SCRIPTS},
            },
            "init": {
                **common,
                "image": image,
                "command": ["sh", "-c", PREPARE],
                "volumes": mounted,
                "securityContext": {"runAsUser": 0},
            },
            "graphical": {
                **common,
                "image": image,
                "entrypoint": ["sh", "-c", STAY.format(said=DESKTOP_SAYS)],
                "tcpport": 6081,
                "waitportbin": f"{SCRIPTS}/ready",
                "volumes": mounted,
                "securityContext": context,
                "secrets_requirement": ["abcdesktop/vnc"],
                "waitfor_services": [],
                "waitfor_processes": [],
                "waitfor_listeningservices": ["graphical"],
            },
            "ephemeral_container": {**common, "volumes": mounted, "securityContext": context},
            "pod_application": {**common, "volumes": mounted, "tolerations": [], "securityContext": context},
        },
    }


def application(image: str, engine: str) -> dict[str, Any]:
    """What ``docker inspect`` would say of an application whose image is ``image``."""
    return {
        "Id": "sha256:" + "c" * 64,
        "RepoTags": [image],
        "Architecture": "amd64",
        "Os": "linux",
        "Config": {
            "Cmd": ["sh", "-c", STAY.format(said=APPLICATION_SAYS)],
            "Labels": {
                "oc.type": "app",
                "oc.name": "conformance",
                "oc.displayname": "Conformance",
                "oc.launch": f"conformance.{engine}",
                "oc.icon": "conformance.svg",
                "oc.cat": "utilities",
                "oc.acl": '{"permit":["all"]}',
                "oc.containerengine": engine,
            },
        },
    }
