"""Environment variables: which win over the file, and how."""

from __future__ import annotations

from pathlib import Path

import pytest

from oc.od.settings import ConfigurationError, load_settings, settings_from_mapping

from .support import MINIMAL, Failures, Loader


def test_without_environment_and_keys_the_short_service_names_are_used(load: Loader) -> None:
    settings = load()
    assert settings.mongodb.hosts() == (("mongodb", 27017),)
    assert settings.mongodb.param == "replicaSet=rs0"
    assert (settings.memcached.host, settings.memcached.port) == ("memcached", 11211)
    assert settings.kubernetes.namespace == "abcdesktop"


@pytest.mark.parametrize(
    ("variable", "value", "key", "given", "read"),
    [
        ("MONGODB_URL", "mongodb://env", "mongodburl", "mongodb://file", "mongodb.url"),
        ("MONGODB_PARAM", "tls=true", "mongodbparam", "w=1", "mongodb.param"),
        ("MEMCACHESERVER", "env-cache", "memcacheserver", "file-cache", "memcached.host"),
        ("POD_NAMESPACE", "env-space", "namespace", "file-space", "kubernetes.namespace"),
    ],
)
def test_a_variable_wins_over_its_key_when_not_empty(
    load: Loader, variable: str, value: str, key: str, given: str, read: str
) -> None:
    part, attribute = read.split(".")

    def seen(environ: dict[str, str]) -> object:
        return getattr(getattr(load(f"{key}: '{given}'\n", environ), part), attribute)

    assert seen({}) == given
    assert seen({variable: ""}) == given
    assert seen({variable: value}) == value


@pytest.mark.parametrize("key", ["mongodburl", "mongodbparam", "memcacheserver", "namespace"])
def test_none_means_absent_for_keys_the_environment_can_set(load: Loader, key: str) -> None:
    settings = load(f"{key}: None\n")
    assert settings.mongodb == load().mongodb
    assert settings.memcached == load().memcached
    assert settings.kubernetes == load().kubernetes
    assert settings.warnings == ()


def test_a_broken_variable_is_an_error_that_names_it_without_its_value(failures: Failures) -> None:
    (problem,) = failures(environ={"MONGODB_URL": "http://user:hunter2@x"})
    assert problem.key == "MONGODB_URL"
    assert "hunter2" not in str(problem)


def test_the_value_of_a_key_is_checked_even_when_a_variable_wins(failures: Failures) -> None:
    (problem,) = failures("mongodburl: 5\n", {"MONGODB_URL": "mongodb://x"})
    assert problem.key == "mongodburl"


@pytest.mark.parametrize("value", ["1", "true", "yes"])
def test_the_oauth_flags_can_be_set_by_environment(load: Loader, value: str) -> None:
    settings = load(environ={"OAUTHLIB_RELAX_TOKEN_SCOPE": value, "OAUTHLIB_INSECURE_TRANSPORT": ""})
    assert settings.auth.oauth.relax_token_scope is True
    assert settings.auth.oauth.insecure_transport is False


def test_a_false_key_does_not_unset_the_variable(load: Loader) -> None:
    settings = load("OAUTHLIB_RELAX_TOKEN_SCOPE: False\n", {"OAUTHLIB_RELAX_TOKEN_SCOPE": "1"})
    assert settings.auth.oauth.relax_token_scope is True


def test_the_domain_follows_the_namespace_and_the_suffix(load: Loader) -> None:
    assert load().kubernetes.domain == "abcdesktop.svc.cluster.local"
    assert load(environ={"POD_NAMESPACE": "desk"}).kubernetes.domain == "desk.svc.cluster.local"
    assert load("kubernetesdefaultsvcclusterlocal: 'svc.corp'\n").kubernetes.domain == "abcdesktop.svc.corp"
    whole = "kubernetesdefaultabcdesktopsvcclusterlocal: 'a.b.c'\n"
    assert load(whole, {"POD_NAMESPACE": "desk"}).kubernetes.domain == "a.b.c"


def test_the_file_is_found_by_variable_then_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=r"od\.config: cannot be read"):
        load_settings(None, {})
    (tmp_path / "od.config").write_text(MINIMAL + "namespace: 'here'\n", encoding="utf-8")
    (tmp_path / "other.config").write_text(MINIMAL + "namespace: 'there'\n", encoding="utf-8")
    assert load_settings(None, {}).kubernetes.namespace == "here"
    assert load_settings(None, {"OD_CONFIG_PATH": str(tmp_path / "other.config")}).kubernetes.namespace == "there"
    assert load_settings(Path("od.config"), {"OD_CONFIG_PATH": "other.config"}).kubernetes.namespace == "here"


def test_the_process_environment_is_used_when_none_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "od.config"
    file.write_text(MINIMAL, encoding="utf-8")
    monkeypatch.setenv("POD_NAMESPACE", "from-process")
    assert load_settings(file).kubernetes.namespace == "from-process"


def test_settings_from_a_mapping_ignore_the_process_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POD_NAMESPACE", "from-process")
    assert settings_from_mapping({}).kubernetes.namespace == "abcdesktop"
    assert settings_from_mapping({}, {"POD_NAMESPACE": "given"}).kubernetes.namespace == "given"


def test_settings_from_a_mapping_raise_the_same_errors() -> None:
    with pytest.raises(ConfigurationError, match=r"server\.socket_port: 'x' is not valid"):
        settings_from_mapping({"server.socket_port": "x"})
