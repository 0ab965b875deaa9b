"""Further configurations, each for one part of ``od.config``: placement, networks, storage, services, old files."""

from __future__ import annotations

from typing import Any

from .configurations import EVERYBODY, shipped

CLAIM_SPEC = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "2Gi"}}}


def placed() -> dict[str, Any]:
    """Everything that says where a pod runs, in the pod, in the class and in ``pod_application``."""
    values = shipped()
    values["desktop.nodeselector"] = {"abcdesktoprole": "worker", "zone": "a"}
    pod = values["desktop.pod"]
    pod["spec"] |= {
        "nodeSelector": {"disk": "ssd"},
        "affinity": {
            "podAntiAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {
                        "weight": 1,
                        "podAffinityTerm": {
                            "labelSelector": {"matchLabels": {"type": "x11server"}},
                            "topologyKey": "kubernetes.io/hostname",
                        },
                    }
                ]
            }
        },
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {}}
        ],
        "tolerations": [{"key": "desktops", "operator": "Exists", "effect": "NoSchedule"}],
        "priorityClassName": "desktops",
        "schedulerName": "desktop-scheduler",
        "activeDeadlineSeconds": 43200,
        "enableServiceLinks": False,
        "hostUsers": False,
        "runtimeClassName": "kata",
    }
    pod["pod_application"] |= {
        "nodeSelector": {"disk": "hdd"},
        "affinity": {"podAffinity": {}},
        "tolerations": [{"key": "applications", "operator": "Exists"}],
        "runtimeClassName": "gvisor",
    }
    values["executeclasses"]["silver"] = {
        "description": "silver",
        "nodeSelector": {"zone": "b"},
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "silver",
        "resources": {"requests": {"cpu": "2000m"}, "limits": {"memory": "32Gi"}},
        "containers": {"sound": {"resources": {"limits": {"memory": "1Gi"}}}},
    }
    return values


def names_and_addresses() -> dict[str, Any]:
    """Host aliases, DNS of the cluster's own, a second network by Multus for everybody, no service links."""
    values = shipped()
    values["desktop.hostname"] = "abcdesktop"
    values["desktop.dnspolicy"] = "ClusterFirstWithHostNet"
    values["desktop.dnsconfig"] = {"options": [{"name": "ndots", "value": "2"}]}
    values["desktop.pod"]["spec"] |= {
        "hostAliases": [{"ip": "192.168.7.101", "hostnames": ["nas", "nas.example.org"]}],
        "terminationGracePeriodSeconds": 10,
    }
    networks = '[{"name":"macvlan-conf","interface":"net1","ips":["10.5.0.7/24"]}]'
    values["desktop.policies"] = {
        "rules": {"network": {"default": {"annotations": {"k8s.v1.cni.cncf.io/networks": networks}}}}
    }
    return values


def every_service() -> dict[str, Any]:
    """Printer, ssh with a key for its image, web shell and spawner; processes seen by all containers."""
    values = shipped()
    pod = values["desktop.pod"]
    pod["spec"]["shareProcessNamespace"] = True
    pod["printer"] |= {"enable": True, "resources": {"limits": {"memory": "128Mi"}}}
    pod["ssh"] = {
        "enable": True,
        "acl": EVERYBODY,
        "image": {"default": "example.org/ssh:1", "adminstaff": "example.org/ssh-admin:1"},
        "imagePullSecrets": [{"name": "ssh-registry"}],
        "tcpport": 29785,
        "volumes": ["home", "run"],
        "securityContext": {"runAsUser": "{{ uidNumber }}", "capabilities": {"drop": ["ALL"]}},
    }
    pod["graphical"]["waitfor_services"] = ["graphical", "spawner"]
    return values


def snapshots() -> dict[str, Any]:
    """A container of the operator's own that sees the runtime of the node, for a few."""
    values = shipped()
    pod = values["desktop.pod"]
    socket = "/run/containerd/containerd.sock"
    pod["default_volumes"]["containerd"] = {"name": "containerd", "hostPath": {"path": socket, "type": "Socket"}}
    pod["default_volumes_mount"]["containerd"] = {"name": "containerd", "mountPath": socket}
    pod["snapshot"] = {
        "enable": True,
        "acl": {"permit": ["shipcrew"]},
        "image": "example.org/snapshot:1",
        "tcpport": 29785,
        "volumes": ["containerd", "tmp"],
        "securityContext": {"runAsUser": 0, "runAsGroup": 0},
    }
    return values


def denied_services() -> dict[str, Any]:
    """Sound for nobody with a label, the filer switched off, the web shell without access list: deny wins."""
    values = shipped()
    pod = values["desktop.pod"]
    pod["sound"]["acl"] = {"permit": ["all"], "deny": ["shipcrew"]}
    pod["filer"]["enable"] = False
    del pod["webshell"]["acl"]
    pod["init"]["acl"] = {"permit": ["nobody"]}
    return values


def old_containers() -> dict[str, Any]:
    """What files of 3.x and 4.1 still hold: pause container, x11overlay, rdp, sockets on volumes."""
    values = shipped()
    pod = values["desktop.pod"]
    for name, path in (("pulseaudiosocket", "/tmp/.pulseaudio"), ("cupsdsocket", "/tmp/.cupsd")):
        pod["default_volumes"][name] = {"name": name, "emptyDir": {"medium": "Memory"}}
        pod["default_volumes_mount"][name] = {"name": name, "mountPath": path}
    pod["graphical"]["volumes"] += ["pulseaudiosocket", "cupsdsocket", "not-there"]
    pod["storage"] = {"enable": True, "acl": EVERYBODY, "image": "k8s.gcr.io/pause:3.8"}
    pod["x11overlay"] = {"enable": True, "acl": EVERYBODY, "image": "example.org/x11-overlay:main"}
    pod["rdp"] = {"enable": True, "acl": EVERYBODY, "image": "example.org/rdp:1", "tcpport": 3389}
    values["desktop.homedirdotcachetoemptydir"] = True
    return values


def file_3_3() -> dict[str, Any]:
    """A file of 3.3: class resources for the graphical container, old keys, no volumes lists, homes on the node."""
    resources = {"requests": {"memory": "320Mi", "cpu": "300m"}, "limits": {"memory": "4Gi", "cpu": "3000m"}}
    return {
        "desktop.pod": {
            "spec": {"shareProcessNamespace": True, "shareProcessMemory": True, "shareProcessMemorySize": "256Mi"},
            "imagePullSecrets": "registry",
            "graphical": {
                "image": {"default": "abcdesktopio/oc.user.ubuntu:3.3"},
                "imagePullPolicy": "IfNotPresent",
                "enable": True,
                "acl": EVERYBODY,
                "tcpport": 6081,
                "resources": resources,
                "secrets_requirement": ["abcdesktop/vnc", "abcdesktop/kerberos"],
                "securityContext": {"runAsUser": "{{ uidNumber }}", "runAsGroup": "{{ gidNumber }}"},
            },
            "spawner": {"enable": True, "tcpport": 29786, "acl": EVERYBODY},
            "broadcast": {"enable": True, "tcpport": 29784, "acl": EVERYBODY},
            "webshell": {"enable": True, "tcpport": 29781, "acl": EVERYBODY},
            "printer": {"image": "abcdesktopio/oc.cupsd:3.3", "enable": True, "tcpport": 681, "acl": EVERYBODY},
            "printerfile": {"enable": True, "tcpport": 29782, "acl": EVERYBODY},
            "filer": {"image": "abcdesktopio/oc.filer:3.3", "enable": True, "tcpport": 29783, "acl": EVERYBODY},
            "storage": {"image": "k8s.gcr.io/pause:3.8", "enable": True, "acl": EVERYBODY},
            "sound": {"image": "abcdesktopio/oc.pulseaudio:3.3", "enable": True, "tcpport": 29788, "acl": EVERYBODY},
            "init": {
                "image": "busybox",
                "enable": True,
                "acl": EVERYBODY,
                "securityContext": {"runAsUser": 0},
                "command": ["sh", "-c", "chown {{ uidNumber }}:{{ gidNumber }} ~"],
            },
            "ephemeral_container": {"enable": True, "acl": EVERYBODY},
            "pod_application": {"enable": True, "acl": EVERYBODY},
        },
        "desktop.homedirectorytype": "hostPath",
        "desktop.hostPathRoot": "/tmp",
        "desktop.homedirdotcachetoemptydir": True,
        "desktop.policies": {"rules": {"volumes": {}}, "acls": {}},
        "authmanagers": shipped()["authmanagers"],
    }


def named_claim() -> dict[str, Any]:
    """One claim whose root is everybody's home, caches on disk volumes of limited size."""
    values = shipped()
    values["desktop.homedirectorytype"] = "persistentVolumeClaim"
    values["desktop.persistentvolumeclaim"] = "all-homes"
    values["desktop.appendpathtomounthomevolume"] = "persistent"
    values["desktop.directorytomemoryemptydir"] = [".cache", ".config/pulse", "../outside", ".cache"]
    values["desktop.directorytomemory"] = {"emptyDir": {"sizeLimit": "1Gi"}}
    return values


def own_claims() -> dict[str, Any]:
    """A claim a user, provisioned by the storage class, in the form of 3.0: a bare spec."""
    values = shipped()
    values["desktop.homedirectorytype"] = "persistentVolumeClaim"
    values["desktop.persistentvolumeclaimspec"] = dict(CLAIM_SPEC)
    values["desktop.removepersistentvolumeclaim"] = True
    return values


def claims_by_label() -> dict[str, Any]:
    """A claim whose size and class come from the user's labels and attributes."""
    values = own_claims()
    del values["desktop.persistentvolumeclaimspec"]
    values["desktop.persistentvolumeclaim"] = {
        "metadata": {"name": "home-{{ userid }}", "labels": {"crew": "{{ shipcrew }}", "who": "{{ name }}"}},
        "spec": {**CLAIM_SPEC, "storageClassName": "homes-{{ protocol }}{{ missing }}"},
    }
    return values


def shares() -> dict[str, Any]:
    """Every kind of shared volume by label, those with credentials too."""
    values = shipped()
    values["desktop.policies"] = {
        "rules": {
            "volumes": {
                "shipcrew": [
                    {"type": "cifs", "volumename": "homedrive", "name": "homedirectory", "mountOptions": "vers=3.0"},
                    {"type": "cifs_kerberos", "volumename": "work", "name": "projects", "unc": "//nas/projects"},
                    {"type": "webdav", "volumename": "cloud", "url": "https://cloud.example.org/dav/"},
                    {
                        "type": "csi",
                        "name": "secrets-store",
                        "driver": "secrets-store.csi.k8s.io",
                        "readOnly": True,
                        "volumeAttributes": {"secretProviderClass": "crew"},
                        "mountPath": "/mnt/store",
                    },
                    {
                        "type": "s3",
                        "name": "bucket",
                        "driver": "s3.csi.example.org",
                        "bucket": "planet-express",
                        "secretName": "s3-credentials",
                        "mountPath": "/mnt/bucket",
                    },
                    {"type": "csi"},
                ],
                "tennetwork": [
                    {"type": "nfs", "name": "isos", "server": "nas", "path": "/isos", "mountPath": "/mnt/isos"},
                    {"type": "pvc", "name": "media", "claimName": "media", "mountPath": "/mnt/media"},
                    {"type": "hostPath", "name": "opt", "path": "/opt", "mountPath": "/mnt/opt", "readOnly": True},
                ],
                "accounting": {"type": "pvc", "name": "books", "claimName": "books", "mountPath": "/mnt/books"},
            }
        }
    }
    return values
