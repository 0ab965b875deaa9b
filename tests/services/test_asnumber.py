"""AS numbers out of a pyasn database (services.md 8.3)."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oc.od.asnumber import AsNumber

PARIS = "81.2.69.160"
LINES = "; IP-ASN32-DAT file\n81.2.69.0/24\t3215\n81.2.0.0/16\t64496\n2a01:c000::/24\t12807\n10.0.0.0/8\t64500\n"


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("asn") / "ipasn_db.dat"
    path.write_text(LINES)
    return path


@pytest.mark.parametrize(
    ("address", "number"),
    [
        (PARIS, "3215"),  # the longest prefix
        ("81.2.70.1", "64496"),
        ("2a01:c000::1", "12807"),
        ("8.8.8.8", None),
        ("10.1.2.3", None),  # private, although listed
        ("127.0.0.1", None),
        ("::1", None),
        ("", None),
        ("no address", None),
    ],
)
def test_the_system_of_an_address(database: Path, address, number):
    assert AsNumber(database).of(address) == number


@pytest.mark.parametrize("numbers", ["3215", 3215, ["1", "3215"], [1, 3215], ("AS3215",), "as3215", {" 3215 "}])
def test_numbers_may_be_given_as_text_or_number_or_list(database: Path, numbers):
    assert AsNumber(database).belongs_to(PARIS, numbers)


@pytest.mark.parametrize("numbers", ["321", 32150, [], ["", "x"], "64496"])
def test_another_system_does_not_match(database: Path, numbers):
    assert not AsNumber(database).belongs_to(PARIS, numbers)


def test_an_address_nobody_knows_belongs_to_none(database: Path):
    assert not AsNumber(database).belongs_to("8.8.8.8", ["None", "", "3215"])


def test_without_a_file_the_other_source_is_asked(tmp_path: Path):
    service = AsNumber(tmp_path / "absent", lambda address: "64511" if address == "8.8.8.8" else None)
    assert not service.available
    assert service.of("8.8.8.8") == "64511"
    assert service.of(PARIS) is None
    assert service.of("10.0.0.1") is None


def test_what_the_file_has_wins_over_the_other_source(database: Path):
    service = AsNumber(database, lambda address: "64511")
    assert (service.of(PARIS), service.of("8.8.8.8")) == ("3215", "64511")


@pytest.mark.parametrize("content", [b"garbage here\n", b"1.2.3.0/24\tabc\n", b"1.2.3.0/99\t5\n"])
def test_a_broken_file_is_logged_and_off(tmp_path: Path, content, caplog):
    path = tmp_path / "ipasn_db.dat"
    path.write_bytes(content)
    assert AsNumber(path).of(PARIS) is None
    assert "ipasn_db.dat" in caplog.text


@given(text=st.one_of(st.ip_addresses().map(str), st.text(max_size=60)))
def test_no_address_makes_a_look_up_fail(database: Path, text):
    AsNumber(database).belongs_to(text, ["3215"])
