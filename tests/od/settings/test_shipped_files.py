"""The files in the repository: od.config is complete, the reference is fresh, real files of older versions load."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from oc.od.settings import Level, Settings, load_settings
from oc.od.settings.declaration import UNSET, Option, all_options, options_of
from oc.od.settings.kinds import OrDefault
from oc.od.settings.masking import plain, values_of
from oc.od.settings.pod_containers import ContainerSettings
from oc.od.settings.provider_keys import PROVIDER_KEYS
from oc.od.settings.reference import TITLES, reference

from .support import ROOT, SAMPLES, found

SHIPPED = ROOT / "od.config"
TOP = list(all_options(Settings))


@pytest.fixture(scope="module")
def shipped() -> Settings:
    return load_settings(SHIPPED, {})


def every_option() -> Iterator[tuple[str, Option]]:
    """(path, option) of all options, nested ones too."""
    pending = [(option.key, option) for option in TOP]
    pending += [(f"desktop.pod.*.{option.key}", option) for _, option in options_of(ContainerSettings)]
    while pending:
        path, option = pending.pop()
        yield path, option
        nested = option.kind.nested()
        if nested is not None:
            pending += [(f"{path}.{inner.key}", inner) for _, inner in options_of(nested)]


EVERY = sorted(every_option(), key=lambda pair: pair[0])


def test_the_reference_page_is_fresh() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    assert page == reference(), "run: python -m oc.od.settings.reference docs/configuration.md"


def test_every_declared_key_stands_in_the_reference() -> None:
    page = reference()
    assert [path for path, option in EVERY if f"| `{option.key}` |" not in page] == []
    assert [k.key for keys in PROVIDER_KEYS.values() for k in keys if f"| `{k.key}` |" not in page] == []


def test_every_settings_field_with_keys_has_a_section_in_the_reference() -> None:
    import dataclasses

    with_keys = {f.name for f in dataclasses.fields(Settings) if "option" in f.metadata or "group" in f.metadata}
    assert with_keys == set(TITLES)


@pytest.mark.parametrize("option", TOP, ids=lambda option: option.key)
def test_every_top_level_key_stands_in_od_config_set_or_commented(option: Option) -> None:
    text = SHIPPED.read_text(encoding="ascii")
    assert len(re.findall(rf"^(?:# )?{re.escape(option.key)}: ", text, re.MULTILINE)) >= 1


@pytest.mark.parametrize(("path", "option"), EVERY, ids=[path for path, _ in EVERY])
def test_every_declaration_is_complete(path: str, option: Option) -> None:
    assert option.meaning.endswith(".")
    assert re.fullmatch(r"[34]\.[0-4](, extension)?", option.since)
    assert option.kind.name


def test_top_level_keys_and_their_old_names_are_unique() -> None:
    names = [name for option in TOP for name in (option.key, *option.aliases)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(("path", "option"), EVERY, ids=[path for path, _ in EVERY])
def test_every_default_shipped_and_sample_value_passes_its_own_check(path: str, option: Option) -> None:
    from oc.od.settings.declaration import Report

    report = Report()
    dumped = option.kind.dump(option.default)
    if option.default != "" or getattr(option.kind, "empty", False):
        assert option.kind.parse(plain(dumped), report.at(path)) is not UNSET
    for value in (option.shipped, option.sample):
        if value is not UNSET:
            option.kind.parse(value, report.at(path))
    assert report.problems == []
    assert not isinstance(option.kind, OrDefault) or option.kind.inner is not None


def test_od_config_loads_without_error_or_warning(shipped: Settings) -> None:
    assert found(shipped) == {}
    assert set(found(shipped, Level.ADVICE)) == {
        "desktop.userpasswd",
        "authmanagers.explicit.providers.planet",
    }


def test_od_config_is_plain_ascii_with_short_lines() -> None:
    assert max(len(line) for line in SHIPPED.read_text(encoding="ascii").splitlines()) <= 130


def test_od_config_says_what_the_declarations_call_shipped(shipped: Settings) -> None:
    for option, value in values_of(shipped):
        if option.shipped is UNSET or option.key == "controllers":
            continue
        shown = plain(option.kind.dump(value))
        assert shown == plain(option.shipped), option.key


def test_commented_keys_of_od_config_load_when_uncommented(tmp_path: Path) -> None:
    lines: list[str] = []
    text = SHIPPED.read_text(encoding="ascii")
    body = text[text.index("\n[global]\n") :]
    keys = {option.key for option in TOP}
    active = {match.group(1) for match in re.finditer(r"^([A-Za-z0-9_.]+): ", body, re.MULTILINE)}
    block: list[str] | None = None
    for line in [*body.splitlines(), ""]:
        match = re.match(r"# ([A-Za-z0-9_.]+): ", line)
        if match and match.group(1) in keys - active and f"{match.group(1)}: " in line:
            block = [line[2:]]
        elif block is not None and line.startswith("#     "):
            block.append(line[2:])
        elif block is not None:
            lines += block
            block = None
        if block is None and not line.startswith("#"):
            lines.append(line)
    file = tmp_path / "od.config"
    file.write_text("\n".join(lines), encoding="utf-8")
    settings = load_settings(file, {})
    given = {match.group(1) for line in lines if (match := re.match(r"([A-Za-z0-9_.]+): ", line))}
    assert given >= keys
    assert set(found(settings)) == set()


def test_the_shipped_pod_is_that_of_version_4_4(shipped: Settings) -> None:
    pod = shipped.pod
    ports = {name: entry.tcpport for name, entry in pod.containers.items() if entry.tcpport}
    assert ports == {
        "graphical": 6081,
        "spawner": 29786,
        "broadcast": 29784,
        "webshell": 29781,
        "printer": 681,
        "printerfile": 29782,
        "filer": 29783,
        "sound": 29788,
    }
    assert [name for name, entry in pod.containers.items() if not entry.enable] == ["printer"]
    assert pod.graphical_port == 6081
    assert pod.entry("graphical").image_for(()) == "ghcr.io/abcdesktopio/oc.user.ubuntu.sudo.24.04:4.4"
    assert pod.default_volumes["shm"]["emptyDir"]["sizeLimit"] == "2Gi"
    assert all(entry.acl == {"permit": ["all"]} for entry in pod.containers.values())


def test_the_shipped_execute_classes_are_those_of_version_4_4(shipped: Settings) -> None:
    assert list(shipped.executeclasses) == ["default", "bronze", "silver", "gold", "platinum"]
    gold = shipped.executeclasses["gold"]
    assert gold.runtime_class_name == "nvidia"
    assert gold.node_selector == {"nvidia.com/gpu.present": "true"}
    assert gold.containers["graphical"] == {"resources": {"limits": {"nvidia.com/gpu": "1"}}}
    assert shipped.executeclasses["default"].as_dict() == {
        "description": "default: up to 4 CPU cores and 8Gi",
        "nodeSelector": None,
        "resources": {
            "requests": {"memory": "576Mi", "cpu": "220m"},
            "limits": {"memory": "8Gi", "cpu": "4000m"},
        },
        "runtimeClassName": None,
    }


def test_the_shipped_logging_document_configures_logging(
    shipped: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import logging.config

    document = dict(shipped.logging or {})
    monkeypatch.chdir(tmp_path)
    (tmp_path / "logs").mkdir()
    filters = {"odcontext": {"()": "logging.Filter"}}
    checked = logging.config.DictConfigurator({**document, "filters": filters})
    for name, formatter in document["formatters"].items():
        record = logging.LogRecord("x", logging.INFO, "p", 1, "m", None, None)
        record.__dict__.update(nodename="n", userid="u", ipaddr="i")
        assert "m" in checked.configure_formatter(formatter).format(record), name
    for handler in document["handlers"].values():
        assert handler["filters"] == ["odcontext"]
        assert handler["formatter"] in document["formatters"]
    wanted = {
        name for logger in [document["root"], *document["loggers"].values()] for name in logger.get("handlers", [])
    }
    assert wanted <= set(document["handlers"])


@pytest.mark.parametrize("version", ["3.3", "4.1", "4.4"])
def test_the_distributed_file_of_an_older_version_loads(version: str) -> None:
    sample = SAMPLES / f"od.config.{version}"
    if not sample.exists():
        pytest.skip("the distributed files of older versions are not beside this repository")
    settings = load_settings(sample, {})
    assert set(found(settings)) == {"auth.prelogin.http_attribut"}
    assert settings.prelogin.http_attribut == "abcuserid"
    assert settings.auth.managers["explicit"].providers["planet"]["ldap_basedn"].startswith("ou=people")
    assert settings.pod.entry("graphical").tcpport == 6081


def test_the_shipped_file_says_what_the_distributed_4_4_file_says(shipped: Settings) -> None:
    sample = SAMPLES / "od.config.4.4"
    if not sample.exists():
        pytest.skip("the distributed file of version 4.4 is not beside this repository")
    theirs = {option.key: value for option, value in values_of(load_settings(sample, {}))}
    different = {option.key for option, value in values_of(shipped) if value != theirs[option.key]}
    # the page address and log levels are ours, plain http for OAuth is off, the password is random
    assert different == {
        "auth.prelogin",
        "authmanagers",
        "logging",
        "OAUTHLIB_INSECURE_TRANSPORT",
        "desktop.userpasswd",
    }


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("passwd", ["fry:x:1000:1001:Philip,,,:/home/fry:/bin/bash"]),
        ("group", ["sudo:x:27:fry", "lpadmin:x:101:root,fry", "crew:x:1001:fry"]),
        ("shadow", ["fry:$6$hash:19080:0:99999:7:::"]),
        ("gshadow", ["sudo:*::fry", "lpadmin:!::root,fry", "crew:!::fry"]),
    ],
)
def test_the_account_templates_render_to_the_lines_libnss_extrausers_reads(name: str, lines: list[str]) -> None:
    import chevron

    account = {
        "uid": "fry",
        "gid": "crew",
        "uidNumber": 1000,
        "gidNumber": 1001,
        "gecos": "Philip,,,",
        "homeDirectory": "/home/fry",
        "loginShell": "/bin/bash",
        "sha512": "$6$hash",
    }
    rendered = chevron.render((ROOT / name).read_text(encoding="ascii"), account)
    assert rendered == "".join(f"{line}\n" for line in lines)


@pytest.mark.parametrize("name", ["webshell.svg", "application-default-icon.svg"])
def test_the_icons_are_small_drawings_without_scripts(name: str) -> None:
    file = ROOT / "img" / "app" / name
    assert file.stat().st_size < 5000
    tree = ElementTree.fromstring(file.read_text(encoding="ascii"))
    assert tree.tag == "{http://www.w3.org/2000/svg}svg"
    assert not [node for node in tree.iter() if "script" in node.tag or any("href" in key for key in node.attrib)]
