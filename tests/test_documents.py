"""The pages of docs/: all are listed, and what they link to is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def links_of(page: Path) -> list[str]:
    return [link for link in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in link]


def test_every_page_is_listed() -> None:
    assert set(links_of(ROOT / "docs/README.md")) == {page.name for page in PAGES} - {"README.md"}


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: page.name)
def test_what_a_page_links_to_exists(page: Path) -> None:
    assert [link for link in links_of(page) if not (page.parent / link).exists()] == []
