"""What the guide tells is so: figures, commands, routes, Secrets."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import Api

from .support import ROOT, documents

DOCS = ROOT / "docs"
GUIDE = ("operators-guide.md", "upgrading.md", "monitoring.md", "images.md")
METRIC = re.compile(r"\bpyos_[a-z_]+")


def text_of(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def expressions() -> list[str]:
    board = json.loads(text_of("grafana-dashboard.json"))
    return [target["expr"] for panel in board["panels"] for target in panel["targets"]]


def test_the_dashboard_shows_figures_that_pyos_gives(api: Api) -> None:
    api.login()
    api.get("healthz")
    (scrape,) = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", text_of("monitoring.md"), re.DOTALL)[0])[
        "scrape_configs"
    ]
    path = scrape["metrics_path"].removeprefix("/API/")
    exported = api.get(path, headers={"X-API-Key": api.api_key}, params=scrape["params"]).text
    given = set(METRIC.findall(exported))
    used = {name for expression in expressions() for name in METRIC.findall(expression)}
    assert len(used) >= 8
    assert used <= given
    assert set(METRIC.findall(text_of("monitoring.md"))) <= given
    for key, value in re.findall(r'(desktop|applist)="(\w+)"', " ".join(expressions()) + text_of("monitoring.md")):
        assert f'{key}="{value}"' in exported
    for lane in re.findall(r'lane="(\w+)"', text_of("monitoring.md")):
        assert f'lane="{lane}"' in exported


def test_the_panels_of_the_dashboard_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(text_of("grafana-dashboard.json"))["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        taken |= cells


@pytest.mark.parametrize("page", GUIDE)
def test_files_commands_and_routes_of_a_page_exist(page: str, api: Api) -> None:
    text = text_of(page)
    for name in re.findall(r"deploy/[\w./-]+\.(?:sh|yaml)\b", text):
        assert (ROOT / name).exists(), name
    options = (ROOT / "od.py").read_text()
    for option in re.findall(r"od\.py (--[a-z-]+)", text):
        assert f'"{option}"' in options
    for target in re.findall(r"`make ([a-z-]+)`", text):
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), target
    paths = set(api.get("openapi").json()["paths"])
    for route in re.findall(r"`(?:GET )?(/API/[a-z/]+)", text):
        assert route in paths or any(path.startswith(f"{route}/") for path in paths), route


def test_the_table_of_keys_names_the_secrets_of_the_manifests() -> None:
    mounted = {
        volume["secret"]["secretName"]
        for item in documents()
        for template in [_template(item)]
        if template
        for volume in template["spec"].get("volumes", ())
        if "secret" in volume
    }
    table = set(re.findall(r"^\| `([a-z-]+)` \|", text_of("operators-guide.md"), re.MULTILINE))
    assert mounted | {"secret-mongodb"} == table


def _template(item: dict[str, Any]) -> dict[str, Any] | None:
    spec = item.get("spec") or {}
    found: dict[str, Any] | None = spec.get("jobTemplate", {}).get("spec", spec).get("template")
    return found


def test_the_samples_in_yaml_can_be_read() -> None:
    samples = [sample for page in GUIDE for sample in re.findall(r"```yaml\n(.*?)```", text_of(page), re.DOTALL)]
    assert len(samples) >= 2
    for sample in samples:
        assert yaml.safe_load(sample)


def test_build_arguments_of_the_page_are_those_of_the_dockerfiles() -> None:
    table = set(
        re.findall(
            r"`([A-Z][A-Z0-9_]+)`",
            "".join(line for line in text_of("images.md").splitlines() if line.startswith("| `")),
        )
    )
    declared = {
        name
        for file in ("Dockerfile.ubuntu", "Dockerfile.alpine")
        for name in re.findall(r"^ARG ([A-Z0-9_]+)", Path(ROOT / file).read_text(), re.MULTILINE)
    }
    assert declared <= table


def test_every_line_of_the_deployment_of_4_4_is_in_the_guide_or_in_ours() -> None:
    """configuration.md 8.1 is what installations have."""
    specification = ROOT.parent / "shared" / "spec" / "configuration.md"
    if not specification.exists():
        pytest.skip("the specification is not beside this repository")
    section = specification.read_text(encoding="utf-8").split("### 8.1 ")[1].split("### 8.2 ")[0]
    ours = (ROOT / "deploy/20-pyos.yaml").read_text() + text_of("upgrading.md")
    names = {
        *re.findall(r"`([A-Z]+_[A-Z_]+)`", section),  # environment
        *re.findall(
            r"`(/config\.[a-z]+|abcdesktopjwt[a-z]+|abcdesktop-config|secret-mongodb|wait-for-mongo)`", section
        ),
        *re.findall(
            r"(startupProbe|liveness|failureThreshold|serviceAccountName|dnsPolicy|subPath|securityContext)", section
        ),
        *re.findall(r"`(pyos-serviceaccount|ClusterFirst|Always|NODE_NAME)`", section),
    }
    assert len(names) >= 18
    assert {name for name in names if name not in ours} == set()
