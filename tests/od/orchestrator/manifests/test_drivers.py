"""Shares with credentials: the secret a login writes and the volume a pod gets; inline volumes of CSI drivers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from oc.model.identity import Identity, Login, PosixAccount
from oc.od.orchestrator.manifests import secrets, volumes
from oc.od.orchestrator.manifests.types import HomeVolume, SecretRef
from oc.od.settings import Settings, settings_from_mapping

FRY = Identity(provider="planet", providertype="activedirectory", userid="fry", name="Fry", labels={"crew": "true"})
ACCOUNT = PosixAccount(cn="fry", uid="fry", gid="fry", uidNumber=2042, gidNumber=12042, homeDirectory="/home/fry")
FILES = dict.fromkeys(("passwd", "shadow", "group", "gshadow"), "fry:x:2042:12042::/home/fry:/bin/bash\n")
DRIVER = {"username": "fry", "password": "pass,word'$(x)", "domain": "PLANET"}
KERBEROS = {"PRINCIPAL": "fry", "REALM": "PLANETEXPRESS.COM", "keytab": b"\x05\x02\x00", "krb5_conf": "[libdefaults]"}
ENTRY = {"type": "cifs", "name": "projects", "unc": "//nas/projects", "mountOptions": "vers=3.0", "volumename": "work"}
HOMEDRIVE = {"type": "cifs", "name": "homedirectory", "volumename": "homedrive", "mountOptions": "vers=3.0"}
WEBDAV = {"type": "webdav", "volumename": "cloud", "url": "https://cloud.example.org/dav/"}
HOME = {"homeDrive": "U:", "homeDirectory": "\\\\nas\\fry"}


def configured(*rules: dict[str, Any], label: str = "crew") -> Settings:
    return settings_from_mapping({"desktop.pod": {}, "desktop.policies": {"rules": {"volumes": {label: list(rules)}}}})


def login(identity: Identity = FRY, attributes: dict[str, Any] | None = None, **claims: Any) -> Login:
    given = {"localaccount": FILES, "driver": DRIVER, **claims}
    return Login(identity, attributes=attributes or {}, posix=ACCOUNT, claims={k: v for k, v in given.items() if v})


def drafts(settings: Settings, given: Login) -> list[dict[str, Any]]:
    found = secrets.login_secrets(settings, given)
    return [one.manifest for one in found if one.manifest["metadata"]["labels"]["access_type"] == "driver"]


def text(manifest: dict[str, Any]) -> dict[str, str]:
    return secrets.secret_text(secrets.decode_secret(manifest))


def policies(settings: Settings, refs: list[SecretRef], identity: Identity = FRY) -> volumes.Sources:
    account = SecretRef("auth-localaccount-fry", "localaccount", "localaccount")
    rules = settings.policies.rules.volumes
    return volumes.sources(settings, identity, ACCOUNT, [account, *refs], HomeVolume({"emptyDir": {}}), rules)


def test_the_home_drive_of_the_directory_becomes_a_secret_and_a_volume() -> None:
    settings = configured(HOMEDRIVE)
    (secret,) = drafts(settings, login(attributes=HOME))
    assert secret["metadata"]["name"] == "auth-cifs-fry-flexvol-cifs-homedrive"
    assert secret["type"] == "abcdesktop/cifs"
    assert secret["metadata"]["labels"]["access_type"] == "driver"
    data = text(secret)
    place = {"mountPath": "/home/fry/U", "networkPath": "//nas/fry", "mountOptions": "vers=3.0"}
    assert json.loads(data.pop("data")) == place
    assert data == {**DRIVER, "authprotocol": "ntlm"}
    ref = secrets.secret_ref(secret)
    assert ref is not None
    assert "nas" not in repr(ref)
    (found,) = policies(settings, [ref]).policies
    assert found.volume == {
        "name": "flexvol-cifs-homedrive-fry",
        "flexVolume": {
            "driver": "abcdesktop/cifs",
            "fsType": "cifs",
            "secretRef": {"name": "auth-cifs-fry-flexvol-cifs-homedrive"},
            "options": {"networkPath": "//nas/fry", "mountOptions": "uid=2042,gid=12042,vers=3.0"},
        },
    }
    assert found.mount == {"name": "flexvol-cifs-homedrive-fry", "mountPath": "/home/fry/U"}


def test_shares_by_name_and_web_folders_get_their_places() -> None:
    settings = configured(ENTRY, WEBDAV)
    cifs, webdav = drafts(settings, login())
    assert json.loads(text(cifs)["data"])["mountPath"] == "/home/fry/projects"
    assert json.loads(text(webdav)["data"]) == {
        "mountPath": "/home/fry/cloud",
        "networkPath": "https://cloud.example.org/dav/",
        "mountOptions": "",
    }
    refs = [ref for ref in map(secrets.secret_ref, (cifs, webdav)) if ref]
    found = policies(settings, refs).policies
    assert [one.volume["flexVolume"]["fsType"] for one in found] == ["cifs", "webdav"]
    assert found[1].volume["flexVolume"]["options"]["mountOptions"] == "uid=2042,gid=12042"


def test_a_kerberos_share_takes_the_keytab() -> None:
    settings = configured({**ENTRY, "type": "cifs_kerberos"})
    (secret,) = drafts(settings, login(kerberos=KERBEROS, driver=None))
    data = secrets.decode_secret(secret)
    assert data["keytab"] == b"\x05\x02\x00"
    assert data["principal"] == b"fry"
    assert data["authprotocol"] == b"kerberos"
    assert "password" not in data
    assert drafts(settings, login()) == []


@pytest.mark.parametrize(
    ("rule", "attributes", "claims"),
    [
        (ENTRY, {}, {"driver": None}),
        (ENTRY, {}, {"driver": {"username": "fry", "password": ""}}),
        (HOMEDRIVE, {}, {}),
        (HOMEDRIVE, {**HOME, "homeDrive": "../.."}, {}),
        (HOMEDRIVE, {**HOME, "homeDirectory": "\\\\nas\\fry,uid=0"}, {}),
        (HOMEDRIVE, {**HOME, "homeDirectory": "\\\\nas\\..\\etc"}, {}),
        (HOMEDRIVE, {**HOME, "homeDirectory": "/etc"}, {}),
        (HOMEDRIVE, {**HOME, "homeDirectory": "\\\\nas\\" + "x" * 2000}, {}),
        ({**ENTRY, "name": "../../etc"}, {}, {}),
        ({**ENTRY, "unc": "nas/projects"}, {}, {}),
    ],
)
def test_a_share_without_a_sound_place_or_credentials_gets_no_secret(
    rule: dict[str, Any], attributes: dict[str, Any], claims: dict[str, Any]
) -> None:
    assert drafts(configured(rule), login(attributes=attributes, **claims)) == []


def test_other_users_have_no_part_in_a_share() -> None:
    assert drafts(configured(ENTRY, label="staff"), login()) == []


def test_a_share_whose_secret_is_gone_is_left_out_with_a_warning() -> None:
    found = policies(configured(ENTRY), [])
    assert found.policies == ()
    assert any("its secret is not there" in warning for warning in found.warnings)


@pytest.mark.parametrize(
    "share", ["", "no json", "[]", '{"mountPath": 1, "networkPath": "//a/b"}', '{"mountPath": "x"}']
)
def test_an_unreadable_secret_leaves_the_share_out(share: str) -> None:
    ref = SecretRef("auth-cifs-fry-flexvol-cifs-work", "cifs", "driver", share)
    assert policies(configured(ENTRY), [ref]).policies == ()


def test_driver_secrets_are_never_mounted_as_files() -> None:
    settings = configured(ENTRY)
    (secret,) = drafts(settings, login())
    ref = secrets.secret_ref(secret)
    assert ref is not None
    assert policies(settings, [ref]).auth == {}


def test_the_secrets_of_two_shares_and_two_users_have_different_names() -> None:
    settings = configured(*({**ENTRY, "volumename": f"{'v' * 80}{number}"} for number in range(3)))
    other = Identity(provider="planet", providertype="ldap", userid="leela", name="Leela", labels={"crew": "true"})
    names = [one["metadata"]["name"] for who in (FRY, other) for one in drafts(settings, login(who))]
    assert len(set(names)) == 6
    assert all(len(name) <= 63 for name in names)


def test_csi_and_s3_volumes_are_inline_volumes_of_their_driver() -> None:
    csi = {
        "type": "csi",
        "name": "scratch",
        "mountPath": "/mnt/scratch",
        "driver": "scratch.csi.example.org",
        "volumeAttributes": {"size": "1Gi"},
        "fsType": "ext4",
        "secretName": "scratch-keys",
        "readOnly": True,
    }
    s3 = {"type": "s3", "name": "data", "mountPath": "/mnt/data", "driver": "s3.csi.example.org", "bucket": "crew"}
    first, second = policies(configured(csi, s3), []).policies
    assert first.volume == {
        "name": "csi-scratch-fry",
        "csi": {
            "driver": "scratch.csi.example.org",
            "readOnly": True,
            "volumeAttributes": {"size": "1Gi"},
            "fsType": "ext4",
            "nodePublishSecretRef": {"name": "scratch-keys"},
        },
    }
    assert first.mount["readOnly"] is True
    assert second.volume["csi"]["volumeAttributes"] == {"bucket": "crew"}
    assert second.mount == {"name": "s3-data-fry", "mountPath": "/mnt/data"}


def test_a_csi_rule_of_an_old_file_has_no_effect_and_no_warning() -> None:
    found = policies(configured({"type": "csi", "name": "x", "mountPath": "/mnt/x"}), [])
    assert found.policies == ()
    assert found.warnings == ()
