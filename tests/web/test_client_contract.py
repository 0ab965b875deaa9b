"""Every fact that real clients depend on is named with the tests that prove it: ``client_contract.txt``."""

from __future__ import annotations

import ast
import functools
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
TABLE = Path(__file__).with_name("client_contract.txt")
CONTRACT = TESTS.parents[1] / "shared" / "spec"
#: The legend of a document, before its first section, explains the mark.
LEGEND = Counter({"0": 1})


@dataclass
class Fact:
    """proofs: file below tests/, and a test of it or nothing for the whole file."""

    document: str
    section: str
    text: str
    proofs: list[tuple[str, str]] = field(default_factory=list)


def facts() -> list[Fact]:
    found: list[Fact] = []
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if line.startswith("    "):
            file, _, name = line.strip().partition(" ")
            found[-1].proofs.append((file, name))
        elif line and not line.startswith("#"):
            place, _, text = line.partition(": ")
            document, _, section = place.partition(" ")
            found.append(Fact(document, section, text))
    return found


@functools.cache
def names_in(file: str) -> frozenset[str]:
    """The tests of a file below tests/, also those of its classes."""
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    return frozenset(node.name for node in functions if node.name.startswith("test_"))


@pytest.mark.parametrize("fact", facts(), ids=lambda fact: f"{fact.document} {fact.section} {fact.text}")
def test_a_fact_clients_depend_on_has_its_test(fact: Fact):
    assert fact.proofs
    for file, name in fact.proofs:
        if name:
            assert name in names_in(file), f"{file} {name}"
        else:
            assert len(names_in(file)) > 5, file


@pytest.mark.parametrize("document", ["http-api", "services"])
def test_every_mark_of_the_contract_has_a_row(document: str):
    path = CONTRACT / f"{document}.md"
    if not path.is_file():
        pytest.skip(f"{path} is not there: the contract is not part of the repository")
    marks: Counter[str] = Counter()
    section = "0"
    for line in path.read_text(encoding="utf-8").splitlines():
        heading = re.match(r"#{2,4} (\d+(?:\.\d+)?)", line)
        section = heading.group(1) if heading else section
        marks[section] += line.count("[client")
    assert Counter(fact.section for fact in facts() if fact.document == document) == +(marks - LEGEND)
