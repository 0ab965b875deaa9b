"""Configurations the builders are tried with, in the form of ``od.config``: each a plain mapping."""

from __future__ import annotations

from typing import Any

EVERYBODY = {"permit": ["all"]}
WAIT_PORT = "/composer/node/wait-port/node_modules/.bin/wait-port"
USER_CONTEXT = {
    "supplementalGroups": ["{{ supplementalGroups }}"],
    "readOnlyRootFilesystem": False,
    "allowPrivilegeEscalation": True,
    "runAsUser": "{{ uidNumber }}",
    "runAsGroup": "{{ gidNumber }}",
}
MOUNTS = {
    "shm": "/dev/shm",
    "run": "/var/run/desktop",
    "tmp": "/tmp",
    "log": "/var/log/desktop",
    "rundbus": "/var/run/dbus",
    "runuser": "/run/user/",
    "x11socket": "/tmp/.X11-unix",
    "sudoers": "/etc/sudoers.d",
}
SIZES = {
    "shm": "2Gi",
    "run": "1Mi",
    "tmp": "8Gi",
    "log": "8Gi",
    "rundbus": "8Mi",
    "runuser": "8Mi",
    "x11socket": "1Ki",
    "sudoers": "1Mi",
}


def execute_classes() -> dict[str, Any]:
    """The classes of 4.4: bronze is small, gold and platinum have a GPU."""

    def sized(memory: str, cpu: str, most_memory: str, most_cpu: str) -> dict[str, Any]:
        return {
            "requests": {"memory": memory, "cpu": cpu},
            "limits": {"memory": most_memory, "cpu": most_cpu},
        }

    gpu = {
        "nodeSelector": {"nvidia.com/gpu.present": "true"},
        "runtimeClassName": "nvidia",
        "containers": {"graphical": {"resources": {"limits": {"nvidia.com/gpu": "1"}}}},
    }
    return {
        "default": {
            "nodeSelector": {},
            "description": "default: up to 4 CPU cores and 8Gi",
            "runtimeClassName": None,
            "resources": sized("576Mi", "220m", "8Gi", "4000m"),
        },
        "bronze": {"description": "bronze", "nodeSelector": {}, "resources": sized("576Mi", "220m", "8Gi", "2000m")},
        "gold": {"description": "gold", "resources": sized("2Gi", "4000m", "32Gi", "4000m"), **gpu},
    }


def pod_4_4() -> dict[str, Any]:
    """``desktop.pod`` as shipped with 4.4, without the sudoers lines of the init command."""
    return {
        "spec": {
            "shareProcessNamespace": False,
            "shareProcessMemory": True,
            "tolerations": [],
            "securityContext": {
                "supplementalGroups": ["{{ supplementalGroups }}"],
                "runAsUser": "{{ uidNumber }}",
                "runAsGroup": "{{ gidNumber }}",
            },
        },
        "default_volumes": {
            name: {"name": name, "emptyDir": {"medium": "Memory", "sizeLimit": size}} for name, size in SIZES.items()
        },
        "default_volumes_mount": {name: {"name": name, "mountPath": path} for name, path in MOUNTS.items()},
        "graphical": {
            "enable": True,
            "acl": EVERYBODY,
            "tcpport": 6081,
            "image": {"default": "ghcr.io/abcdesktopio/oc.user.ubuntu.sudo.24.04:4.4"},
            "imagePullPolicy": "Always",
            "volumes": ["sudoers", "x11socket", "tmp", "run", "log", "rundbus", "runuser", "shm"],
            "waitportbin": WAIT_PORT,
            "securityContext": {**USER_CONTEXT, "runAsNonRoot": True},
            "secrets_requirement": ["abcdesktop/vnc", "abcdesktop/kerberos"],
        },
        "spawner": {"enable": True, "acl": EVERYBODY, "tcpport": 29786, "waitportbin": WAIT_PORT},
        "broadcast": {"enable": True, "acl": EVERYBODY, "tcpport": 29784},
        "webshell": {"enable": True, "acl": EVERYBODY, "tcpport": 29781},
        "printer": {
            "enable": False,
            "acl": EVERYBODY,
            "tcpport": 681,
            "image": "ghcr.io/abcdesktopio/oc.cupsd:4.4",
            "volumes": ["tmp"],
            "securityContext": {"runAsUser": 0, "runAsGroup": 0},
        },
        "printerfile": {"enable": True, "acl": EVERYBODY, "tcpport": 29782},
        "filer": {
            "enable": True,
            "acl": EVERYBODY,
            "tcpport": 29783,
            "image": "ghcr.io/abcdesktopio/oc.filer:4.4",
            "volumes": ["tmp", "home", "log"],
        },
        "sound": {
            "enable": True,
            "acl": EVERYBODY,
            "tcpport": 29788,
            "image": "ghcr.io/abcdesktopio/oc.pulseaudio:4.4",
            "imagePullPolicy": "Always",
            "volumes": ["tmp", "home", "log", "shm"],
        },
        "init": {
            "enable": True,
            "acl": EVERYBODY,
            "image": "busybox",
            "volumes": ["sudoers", "tmp", "home"],
            "securityContext": {"runAsUser": 0},
            "command": ["sh", "-c", "chmod 750 ~ && chown {{ uidNumber }}:{{ gidNumber }} ~"],
        },
        "ephemeral_container": {
            "enable": True,
            "acl": EVERYBODY,
            "volumes": ["sudoers", "x11socket", "tmp", "run", "log", "rundbus", "runuser", "shm"],
            "securityContext": USER_CONTEXT,
        },
        "pod_application": {
            "enable": True,
            "acl": EVERYBODY,
            "volumes": ["sudoers", "tmp", "run", "log", "rundbus", "runuser"],
            "securityContext": USER_CONTEXT,
            "tolerations": [],
        },
    }


def providers() -> dict[str, Any]:
    """Managers with one implicit and one directory provider."""
    return {
        "external": {"providers": {}},
        "metaexplicit": {},
        "explicit": {"providers": {}},
        "implicit": {"providers": {"anonymous": {}, "certificate": {}}},
    }


def shipped() -> dict[str, Any]:
    """A whole 4.4 configuration, as far as the builders read it."""
    return {
        "desktop.pod": pod_4_4(),
        "desktop.policies": {"rules": {}},
        "desktop.theme": "auto",
        "desktop.homedirectorytype": None,
        "desktop.userhomedirectory": "/home/balloon",
        "desktop.envlocal": {
            "WEBSOCKIFY_HEARTBEAT": "30",
            "X11LISTEN": "tcp",
            "XDG_RUNTIME_DIR": "/tmp/runtime",
            "DISABLE_RTKIT": "y",
            "ABCDESKTOP_FORCE_OVERWRITE_PLASMA_CONFIG": "true",
        },
        "executeclasses": execute_classes(),
        "authmanagers": providers(),
    }


def with_policies() -> dict[str, Any]:
    """A claim for each home, memory directories, policy volumes by label, environment by label."""
    values = shipped()
    values["desktop.homedirectorytype"] = "persistentVolumeClaim"
    values["desktop.persistentvolumeclaim"] = {
        "metadata": {
            "name": "{{ provider }}-{{ userid }}-{{ uuid }}",
            "annotations": {"nfs.io/username": "{{ userid }}"},
        },
        "spec": {
            "storageClassName": "nfs-csi",
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
    values["desktop.persistentvolume"] = {
        "metadata": {"name": "{{ provider }}-{{ userid }}-{{ uuid }}", "labels": {"crew": "{{ name }}"}},
        "spec": {
            "storageClassName": "nfs-csi",
            "mountOptions": ["nfsvers=3"],
            "capacity": {"storage": "10Gi"},
            "accessModes": ["ReadWriteOnce"],
            "csi": {
                "driver": "nfs.csi.k8s.io",
                "readOnly": False,
                "volumeHandle": "192.168.7.101#volume1#homedir#{{ userid }}",
                "volumeAttributes": {"server": "192.168.7.101", "share": "/volume1/homedir/{{ userid }}"},
            },
        },
    }
    values["desktop.directorytomemoryemptydir"] = [".cache", ".config/pulse"]
    values["desktop.envlocalrules"] = {"shipcrew": {"CREW_OF": "{{ uid }}"}, "accounting": {"BOOKS": "yes"}}
    values["desktop.policies"] = {
        "rules": {
            "volumes": {
                "shipcrew": [
                    {"type": "pvc", "name": "shared-shipcrew-pvc", "claimName": "shipcrew", "mountPath": "/mnt/ship"},
                    {
                        "type": "nfs",
                        "name": "isos",
                        "server": "nas.example.org",
                        "path": "/volume1/isos",
                        "mountPath": "/mnt/isos",
                        "readOnly": True,
                    },
                ],
                "tennetwork": {
                    "type": "hostPath",
                    "name": "mntmyproject",
                    "path": "/mnt/myproject",
                    "mountPath": "/mnt/testmyproject",
                    "mountPropagation": "HostToContainer",
                },
                "accounting": {"type": "nfs", "name": "books", "server": "n", "path": "/b", "mountPath": "/mnt/books"},
            }
        },
        "user_uniq_labels": ["tennetwork"],
    }
    return values


def gpu_by_label() -> dict[str, Any]:
    """An image and a toleration for those whose class has a GPU."""
    values = shipped()
    values["desktop.nodeselector"] = {"abcdesktoprole": "worker"}
    values["executeclasses"]["gold"]["tolerations"] = [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}]
    graphical = values["desktop.pod"]["graphical"]
    graphical["image"] = {"default": "example.org/desktop:4.4", "gpu": "example.org/desktop-gpu:4.4"}
    graphical["resources"] = {"requests": {"memory": "1Gi"}}
    values["desktop.pod"]["spec"]["tolerations"] = [{"key": "desktop", "operator": "Exists"}]
    return values


def bridged() -> dict[str, Any]:
    """A second network interface reached without the router, by label."""
    values = shipped()
    values["desktop.policies"] = {
        "rules": {
            "network": {
                "default": {"annotations": {"example.org/pool": "desktops"}},
                "tennetwork": {
                    "annotations": {"k8s.v1.cni.cncf.io/networks": '[{"name":"macvlan","interface":"net1"}]'},
                    "internal_dns": {"nameservers": ["10.1.1.1"], "searches": ["desktop.local"]},
                    "external_dns": {"hostname": "desk7", "domain": "example.org"},
                    "websocketrouting": "bridge",
                    "websocketrouting_interface": "net1",
                    "webhook": {"create": "update-dns {{ name }} {{ net1 }}"},
                },
                "unused": {"annotations": {"example.org/unused": "1"}},
            }
        }
    }
    return values


def many_containers() -> dict[str, Any]:
    """Printer, ssh, rdp and a container of the operator's own; homes on the node; no init command."""
    values = shipped()
    pod = values["desktop.pod"]
    pod["printer"]["enable"] = True
    pod["ssh"] = {"enable": True, "acl": EVERYBODY, "image": "example.org/ssh:1", "tcpport": 29785}
    pod["rdp"] = {"enable": True, "acl": EVERYBODY, "image": "example.org/rdp:1"}
    pod["metrics"] = {
        "enable": True,
        "acl": {"permit": ["all"], "deny": ["nometrics"]},
        "image": "example.org/metrics:1",
        "volumes": ["log"],
        "lifecycle": {"preStop": {"exec": {"command": ["/bin/flush"]}}},
    }
    pod["webshell"]["acl"] = {"permit": ["adminstaff"]}
    del pod["filer"]["volumes"]
    del pod["sound"]["volumes"]
    del pod["init"]["command"]
    values["desktop.homedirectorytype"] = "hostPath"
    values["desktop.hostPathRoot"] = "/srv/homes"
    return values


def extrausers_4_3() -> dict[str, Any]:
    """The 4.3 layout: the init container copies the account files to a memory volume."""
    values = shipped()
    pod = values["desktop.pod"]
    pod["default_volumes"]["extrausers"] = {"name": "extrausers", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}
    pod["default_volumes_mount"]["extrausers"] = {"name": "extrausers", "mountPath": "/var/lib/extrausers"}
    values["desktop.secretslocalaccount"] = "/var/secrets/abcdesktop/extrausers"
    for name in ("graphical", "init", "ephemeral_container", "pod_application"):
        pod[name]["volumes"] = ["extrausers", *pod[name]["volumes"]]
    pod["init"]["command"] = ["sh", "-c", "cp /var/secrets/abcdesktop/extrausers/* /var/lib/extrausers"]
    return values


def minimal_3_x() -> dict[str, Any]:
    """Little more than an image: everything else is filled in."""
    return {
        "desktop.pod": {
            "graphical": {"enable": True, "acl": EVERYBODY, "image": "abcdesktopio/oc.user:3.0", "tcpport": 6081},
            "ephemeral_container": {"enable": True, "acl": EVERYBODY},
            "pod_application": {"enable": True, "acl": EVERYBODY},
        },
        "namespace": "desks",
        "authmanagers": providers(),
    }


def shared_claim() -> dict[str, Any]:
    """One claim for all homes, with a sub-path; local time of the node; the home is emptied at the end."""
    values = shipped()
    values["desktop.homedirectorytype"] = "persistentVolumeClaim"
    values["desktop.persistentvolumeclaim"] = "all-homes"
    values["desktop.persistentvolumeclaimforcesubpath"] = True
    values["desktop.uselocaltime"] = True
    values["desktop.removehomedirectory"] = True
    values["desktop.appendpathtomounthomevolume"] = ".."
    return values


def nfs_home() -> dict[str, Any]:
    """Homes on NFS, addresses by name, pull secrets, further pod fields, a fixed theme."""
    values = shipped()
    values["desktop.homedirectorytype"] = "nfs"
    values["desktop.nfs"] = {"server": "nas.example.org", "path": "/homes/{{ userid }}", "readOnly": False}
    values["desktop.useinternalfqdn"] = True
    values["desktop.hostname"] = "desk"
    values["desktop.dnspolicy"] = "None"
    values["desktop.dnsconfig"] = {"nameservers": ["10.96.0.10"]}
    values["desktop.theme"] = "windows"
    values["desktop.secretsrootdirectory"] = "/secrets"
    spec = values["desktop.pod"]["spec"]
    spec["imagePullSecrets"] = [{"name": "registry"}]
    spec["hostAliases"] = [{"ip": "10.0.0.7", "hostnames": ["nas"]}]
    spec["terminationGracePeriodSeconds"] = 5
    spec["priorityClassName"] = "desktops"
    spec["shareProcessNamespace"] = True
    values["desktop.pod"]["graphical"]["secrets_requirement"] = ["all"]
    values["desktop.pod"]["graphical"]["imagePullSecrets"] = {"name": "graphical-registry"}
    return values
