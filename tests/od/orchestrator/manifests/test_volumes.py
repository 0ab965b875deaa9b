"""Volumes, mounts, homes and claims."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from oc.model.identity import Identity
from oc.od.orchestrator.manifests import homes, volumes
from oc.od.orchestrator.manifests.types import HomeVolume, ManifestError, SecretRef
from oc.od.settings import Settings, settings_from_mapping

from . import configurations as conf
from . import people
from .people import FRY, FRY_ACCOUNT

EMPTY = HomeVolume({"emptyDir": {}})


def configured(**values: Any) -> Settings:
    given = {f"desktop.{key}": value for key, value in values.items()}
    return settings_from_mapping({**conf.shipped(), **given})


def found(settings: Settings, rules: Any = None, secrets: list[SecretRef] | None = None) -> volumes.Sources:
    held = people.secrets(FRY) if secrets is None else secrets
    return volumes.sources(settings, FRY, FRY_ACCOUNT, held, EMPTY, rules or {})


def paths(mounts: Any) -> dict[str, str]:
    return {one.name: one.mount["mountPath"] for one in mounts}


def test_exactly_one_secret_with_account_files_is_needed() -> None:
    with pytest.raises(ManifestError, match="log in again"):
        found(configured(), secrets=[])
    twice = [*people.secrets(FRY), SecretRef("auth-localaccount-fry-abcdef", "localaccount", "localaccount")]
    with pytest.raises(ManifestError, match="2 localaccount secrets"):
        found(configured(), secrets=twice)


def test_the_secret_is_mounted_under_its_real_name_wherever_it_lies() -> None:
    held = [SecretRef("auth-localaccount-fry-1a2b3c", "localaccount", "localaccount")]
    account = found(configured(), secrets=held).account
    assert account.volume["name"] == "auth-localaccount-fry"
    assert account.volume["secret"]["secretName"] == "auth-localaccount-fry-1a2b3c"


def test_only_auth_secrets_can_be_required() -> None:
    held = [*people.secrets(FRY, "kerberos", "ntlm"), SecretRef("auth-cifs-fry-x", "cifs", "driver")]
    sources = found(configured(), secrets=held)
    assert set(sources.auth) == {"kerberos", "ntlm"}
    mounts = volumes.Mounts("test")
    mounts.require(["all"], sources)
    assert paths(mounts.items) == {
        "auth-kerberos-fry": "/var/secrets/abcdesktop/kerberos",
        "auth-ntlm-fry": "/var/secrets/abcdesktop/ntlm",
    }


@pytest.mark.parametrize("wish", ["kerberos", "abcdesktop/kerberos", "other-namespace/kerberos"])
def test_a_requirement_is_compared_after_the_slash(wish: str) -> None:
    mounts = volumes.Mounts("test")
    mounts.require(
        [wish, "abcdesktop/vnc", "absent"], found(configured(), secrets=people.secrets(FRY, "kerberos", "ntlm"))
    )
    assert list(paths(mounts.items)) == ["auth-kerberos-fry"]


def test_an_unknown_volume_is_skipped_with_a_warning() -> None:
    mounts = volumes.Mounts("sound")
    mounts.add_keys(["tmp", "cupsd", "localtime"], found(configured()))
    assert list(paths(mounts.items)) == ["tmp"]
    assert len(mounts.warnings) == 1
    assert "cupsd" in mounts.warnings[0]


def test_a_path_is_mounted_once_and_the_first_wins() -> None:
    values = conf.shipped()
    values["desktop.pod"]["default_volumes_mount"]["log"]["mountPath"] = "/tmp/"
    mounts = volumes.Mounts("sound")
    mounts.add_keys(["tmp", "log", "tmp"], found(settings_from_mapping(values)))
    assert list(paths(mounts.items)) == ["tmp"]
    assert len(mounts.warnings) == 1


def test_a_volume_without_a_mount_is_not_used() -> None:
    values = conf.shipped()
    del values["desktop.pod"]["default_volumes_mount"]["log"]
    sources = found(settings_from_mapping(values))
    assert "log" not in sources.named
    assert len(sources.warnings) == 1


def test_directories_in_memory_lie_over_the_home_and_have_their_own_names() -> None:
    wished = [".cache", ".config", "cache", "tmp", "../up", "a/../.."]
    sources = found(configured(directorytomemoryemptydir=wished))
    assert paths(sources.home) == {
        "home": "/home/fry",
        "cache": "/home/fry/.cache",
        "config": "/home/fry/.config",
        "home-cache": "/home/fry/cache",
        "home-tmp": "/home/fry/tmp",
    }
    assert len(sources.warnings) == 2
    assert set(sources.named) >= {"cache", "config", "tmp"}
    assert paths(sources.named["tmp"]) == {"tmp": "/tmp"}


def test_the_rule_of_a_label_the_user_does_not_carry_gives_nothing() -> None:
    rule = {"type": "nfs", "name": "n", "server": "s", "path": "/p", "mountPath": "/mnt/n"}
    assert found(configured(), {"absent": rule}).policies == ()
    assert paths(found(configured(), {"shipcrew": rule}).policies) == {"nfs-n-fry": "/mnt/n"}


@pytest.mark.parametrize(
    "rule",
    [
        {"type": "cifs", "name": "homedirectory"},
        {"type": "webdav", "url": "https://example.org"},
        {"type": "nfs", "name": "n", "server": "s", "mountPath": "/mnt/n"},
        {"type": "nfs", "server": "s", "path": "/p", "mountPath": "/mnt/n"},
        {"type": "pvc", "name": "n", "mountPath": "/mnt/n"},
        {"type": "hostPath", "name": "n", "path": "/p"},
        {"type": "hostPath", "name": "n", "path": "/p", "mountPath": "/"},
        {"type": "hostPath", "name": "n", "path": "/p", "mountPath": "mnt"},
        {"type": "hostPath", "name": "n", "path": "/p", "mountPath": "/mnt:x"},
        {"name": "n"},
        "nfs",
        None,
    ],
)
def test_a_rule_that_makes_no_volume_is_left_out_with_a_warning(rule: Any) -> None:
    sources = found(configured(), {"shipcrew": [rule]})
    assert sources.policies == ()
    assert len(sources.warnings) == 1


def test_a_csi_rule_is_accepted_without_effect() -> None:
    sources = found(configured(), {"shipcrew": {"type": "csi", "name": "x"}})
    assert sources.policies == ()
    assert sources.warnings == ()


def test_two_rules_of_one_name_give_one_volume() -> None:
    rule = {"type": "nfs", "name": "n", "server": "s", "path": "/p", "mountPath": "/mnt/n"}
    sources = found(configured(), {"shipcrew": [rule, dict(rule), {**rule, "path": "/q"}]})
    assert len(sources.policies) == 1
    assert sources.policies[0].volume["nfs"]["path"] == "/p"
    assert len(sources.warnings) == 1


def test_read_only_and_propagation_belong_to_the_mount() -> None:
    rule = {"type": "hostPath", "name": "n", "path": "/p", "mountPath": "/mnt/n", "readOnly": True, "hostPathType": ""}
    [one] = found(configured(), {"shipcrew": {**rule, "mountPropagation": "Bidirectional"}}).policies
    assert one.volume == {"name": "hostpath-n-fry", "hostPath": {"path": "/p", "type": ""}}
    assert one.mount == {
        "name": "hostpath-n-fry",
        "mountPath": "/mnt/n",
        "readOnly": True,
        "mountPropagation": "Bidirectional",
    }


def test_two_volumes_of_one_name_are_refused() -> None:
    one = volumes.Mountable({"name": "a", "emptyDir": {}}, {"name": "a", "mountPath": "/a"})
    other = volumes.Mountable({"name": "a", "hostPath": {"path": "/"}}, {"name": "a", "mountPath": "/b"})
    assert volumes.declare([one], [one]) == [{"name": "a", "emptyDir": {}}]
    with pytest.raises(ManifestError):
        volumes.declare([one], [other])


def test_the_rules_of_an_application_replace_the_configured_volumes() -> None:
    settings = settings_from_mapping(conf.with_policies())
    own = {"shipcrew": {"type": "nfs"}}
    assert volumes.volume_rules(settings, {"volumes": own}) == own
    without: list[Any] = [None, False, {"homedir": {}}, {"volumes": "x"}]
    for overlay in without:
        assert set(volumes.volume_rules(settings, overlay)) == {"shipcrew", "tennetwork", "accounting"}


@pytest.mark.parametrize(
    ("values", "source", "sub_path", "persistent"),
    [
        ({}, {"emptyDir": {}}, None, False),
        (
            {"homedirectorytype": "hostPath"},
            {"hostPath": {"path": "/mnt/fry", "type": "DirectoryOrCreate"}},
            None,
            True,
        ),
        (
            {"homedirectorytype": "nfs", "nfs": {"server": "s", "path": "/h/{{ provider }}/{{ uid }}"}},
            {"nfs": {"server": "s", "path": "/h/planet/fry"}},
            None,
            True,
        ),
        (
            {"homedirectorytype": "persistentVolumeClaim", "persistentvolumeclaim": "all"},
            {"persistentVolumeClaim": {"claimName": "all"}},
            None,
            True,
        ),
        (
            {
                "homedirectorytype": "persistentVolumeClaim",
                "persistentvolumeclaim": "all",
                "persistentvolumeclaimforcesubpath": True,
            },
            {"persistentVolumeClaim": {"claimName": "all"}},
            "fry",
            True,
        ),
    ],
)
def test_each_home_type_has_its_volume(values: Any, source: Any, sub_path: str | None, persistent: bool) -> None:
    made = homes.home_volume(configured(**values), FRY, FRY_ACCOUNT)
    assert (made.source, made.sub_path, made.persistent) == (source, sub_path, persistent)


def test_a_claim_made_for_the_user_has_to_be_named() -> None:
    settings = settings_from_mapping(conf.with_policies())
    assert homes.needs_claim(settings)
    with pytest.raises(ManifestError):
        homes.home_volume(settings, FRY, FRY_ACCOUNT)
    made = homes.home_volume(settings, FRY, FRY_ACCOUNT, claim_name="planet-fry")
    assert made.source == {"persistentVolumeClaim": {"claimName": "planet-fry"}}
    assert not homes.needs_claim(configured())
    assert not homes.needs_claim(settings_from_mapping(conf.shared_claim()))


def test_a_user_who_may_choose_the_id_never_gets_the_directory_of_another() -> None:
    settings = configured(homedirectorytype="hostPath")
    forged = Identity("certificate", "implicit", "fry", "fry")
    mine, other = (homes.home_volume(settings, one, FRY_ACCOUNT).source["hostPath"]["path"] for one in (FRY, forged))
    assert mine == "/mnt/fry"
    assert other == "/mnt/certificate_fry"


def test_nfs_without_a_source_is_a_configuration_error() -> None:
    settings = configured(homedirectorytype="nfs", nfs={"server": "s", "path": "/p"})
    storage = dataclasses.replace(settings.storage, nfs=None)
    broken = dataclasses.replace(settings, desktop=dataclasses.replace(settings.desktop, storage=storage))
    with pytest.raises(ManifestError, match=r"desktop\.nfs"):
        homes.home_volume(broken, FRY, FRY_ACCOUNT)


def test_a_claim_without_name_is_named_after_provider_and_user() -> None:
    settings = configured(persistentvolumeclaim={"spec": {"accessModes": ["ReadWriteOnce"]}})
    made = homes.home_claim(settings, FRY, FRY_ACCOUNT, uuid="3af1c")
    assert made.volume is None
    assert made.claim["metadata"]["name"] == "planet-fry"
    assert "volumeName" not in made.claim["spec"]


def test_a_claim_template_may_be_a_bare_spec() -> None:
    made = homes.home_claim(configured(persistentvolumeclaim={"storageClassName": "x"}), FRY, FRY_ACCOUNT, uuid="0")
    assert made.claim["spec"] == {"storageClassName": "x"}


def test_a_volume_name_given_in_the_template_stays() -> None:
    values = conf.with_policies()
    values["desktop.persistentvolumeclaim"]["spec"]["volumeName"] = "given"
    assert (
        homes.home_claim(settings_from_mapping(values), FRY, FRY_ACCOUNT, uuid="0").claim["spec"]["volumeName"]
        == "given"
    )


def test_a_name_kubernetes_would_refuse_is_cleaned_and_stays_distinct() -> None:
    template = {"metadata": {"name": "{{ name }}"}, "spec": {}}
    settings = configured(persistentvolumeclaim=template)
    one, other = (
        homes.home_claim(settings, dataclasses.replace(FRY, name=name), FRY_ACCOUNT, uuid="0").claim["metadata"]["name"]
        for name in ("Philip J. Fry", "philip j. fry")
    )
    assert one.startswith("philip-j--fry-")
    assert one != other


def test_a_template_cannot_take_over_the_labels_that_say_whose_claim_it_is() -> None:
    template = {"metadata": {"labels": {"access_userid": "leela", "crew": "{{ name }}"}}, "spec": {}}
    made = homes.home_claim(configured(persistentvolumeclaim=template), FRY, FRY_ACCOUNT, uuid="0")
    assert made.claim["metadata"]["labels"]["access_userid"] == "fry"
    assert made.claim["metadata"]["labels"]["crew"] == "philip-j.-fry"


def test_a_shared_claim_is_no_template() -> None:
    with pytest.raises(ManifestError):
        homes.home_claim(settings_from_mapping(conf.shared_claim()), FRY, FRY_ACCOUNT, uuid="0")


@pytest.mark.parametrize(("appended", "path"), [("", "/home/fry"), ("docs", "/home/fry/docs"), ("..", "/home")])
def test_the_home_is_mounted_where_configured(appended: str, path: str) -> None:
    assert homes.mount_path(configured(appendpathtomounthomevolume=appended), FRY_ACCOUNT) == path


def test_the_home_is_never_mounted_over_the_root() -> None:
    with pytest.raises(ManifestError):
        homes.mount_path(configured(appendpathtomounthomevolume="../../.."), FRY_ACCOUNT)
