"""Credentials made at login by helper programs: what they get, what is taken from them, and how they fail."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from oc.auth.derived import CNTLM, DerivedCredentials
from oc.auth.kerberos import Kerberos
from oc.auth.programs import ProgramError, is_one_line, private_directory, run_program
from oc.auth.providers.base import read_keys
from oc.auth.providers.helper_keys import HelperKeys
from oc.errors import InvalidCredentialsError

SECRET = "Sl-urm$(id)'\" ü"


def script(directory: Path, name: str, text: str) -> str:
    """A program of the test: some of the real ones are in the product's image only."""
    file = directory / name
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o700)
    return str(file)


NTLM_ANSWER = """[ "$#" = 0 ] || exit 3
echo "# a comment"
echo "NTLM_KEY=$(printf %s "$NTLM_PASSWORD" | base64)=="
echo "NTLM_LM_HASH=bG0="
echo "NTLM_NT_HASH=bnQ="
"""


def test_the_ntlm_program_gets_the_password_by_environment_and_its_lines_become_the_secret(tmp_path: Path) -> None:
    made = DerivedCredentials(frozenset({"ntlm"}), ntlm_command=script(tmp_path, "ntlm_auth", NTLM_ANSWER))
    claims = made.claims("fry", "slurm", "PLANET")
    assert claims == {
        "ntlm": {
            "NTLM_USER": "fry",
            "NTLM_DOMAIN": "PLANET",
            "NTLM_KEY": "c2x1cm0===",
            "NTLM_LM_HASH": "bG0=",
            "NTLM_NT_HASH": "bnQ=",
        }
    }


@pytest.mark.parametrize(
    "answer", ["exit 1", "echo NTLM_KEY=a", "sleep 30", "kill -9 $$", "head -c 10000000 /dev/zero"]
)
def test_a_program_that_fails_costs_one_secret_and_no_login(
    tmp_path: Path, answer: str, caplog: pytest.LogCaptureFixture
) -> None:
    ini = tmp_path / "regions.ini"
    ini.write_text("User={{ username }}\n")
    made = DerivedCredentials(
        frozenset({"ntlm", "citrix"}),
        ntlm_command=script(tmp_path, "ntlm_auth", answer),
        citrix_template=ini,
        seconds=0.5,
    )
    assert set(made.claims("fry", SECRET, "PLANET")) == {"citrix"}
    assert "no ntlm credentials" in caplog.text
    assert SECRET not in caplog.text


def test_a_program_that_is_not_there_is_named_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = DerivedCredentials(frozenset({"ntlm"}), ntlm_command=str(tmp_path / "ntlm_auth"))
    assert made.claims("fry", SECRET, "PLANET") == {}
    assert "ntlm_auth is not installed" in caplog.text


@pytest.mark.skipif(shutil.which(CNTLM) is None, reason="needs cntlm (Debian package cntlm)")
def test_the_real_cntlm_makes_the_hashes_of_its_secret() -> None:
    made = DerivedCredentials(frozenset({"cntlm"}))
    claims = made.claims("User", "Password", "DOMAIN")["cntlm"]
    assert (claims["NTLM_USER"], claims["NTLM_DOMAIN"]) == ("User", "DOMAIN")
    for key in ("CNTLM_PASSLM", "CNTLM_PASSNT", "CNTLM_PASSNTLMV2"):
        assert len(bytes.fromhex(claims[key])) >= 16
    assert made.claims("User", "Password", "DOMAIN")["cntlm"] == claims
    assert made.claims("User", "Passw0rd", "DOMAIN")["cntlm"]["CNTLM_PASSNT"] != claims["CNTLM_PASSNT"]


def test_the_citrix_file_is_the_template_with_the_values_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "All_Regions.ini"
    file.write_text("[WFClient]\nUsername={{username}}\nClearPassword={{ password }}\nDomain={{{ domain }}}\n")
    made = DerivedCredentials(frozenset({"citrix"}), citrix_template=file)
    text = made.claims("fry", "a&b<c>{{username}}", "PLANET")["citrix"]["All_Regions.ini"]
    assert text == "[WFClient]\nUsername=fry\nClearPassword=a&b<c>{{username}}\nDomain=PLANET\n"


def test_a_password_with_a_line_end_becomes_no_line_of_a_file_or_of_input(tmp_path: Path) -> None:
    file = tmp_path / "All_Regions.ini"
    file.write_text("ClearPassword={{ password }}\n")
    made = DerivedCredentials(
        frozenset({"citrix", "cntlm", "kerberos"}), kerberos=Kerberos("EXAMPLE.TEST"), citrix_template=file
    )
    assert made.claims("fry", "a\nb", "PLANET") == {}


@pytest.mark.parametrize("kinds", [{"kerberos"}, {"citrix"}])
def test_a_kind_without_its_configuration_is_left_out(kinds: set[str], caplog: pytest.LogCaptureFixture) -> None:
    assert DerivedCredentials(frozenset(kinds)).claims("fry", SECRET, "PLANET") == {}
    assert "is not configured" in caplog.text


@pytest.mark.parametrize("login", ["fry@OTHER", "fry/admin", "fry x", "fry\n", "", "-c", "fry\\x"])
def test_a_login_that_would_be_another_principal_is_refused(login: str) -> None:
    kerberos = Kerberos("EXAMPLE.TEST")
    if login == "-c":
        assert kerberos.principal(login) == "-C@EXAMPLE.TEST"
        return
    with pytest.raises(InvalidCredentialsError):
        kerberos.principal(login)


def test_programs_get_no_environment_but_a_few_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONGODB_URL", "mongodb://secret")
    assert "MONGODB_URL" not in run_program((script(tmp_path, "show", "env"),), seconds=10)


def test_what_a_program_prints_is_no_part_of_the_error(tmp_path: Path) -> None:
    with pytest.raises(ProgramError) as caught:
        run_program((script(tmp_path, "tell", "cat; exit 4"),), given=SECRET, seconds=10)
    assert str(caught.value) == "tell failed with status 4"
    assert caught.value.output == SECRET


def test_private_directories_are_nobody_else_s_and_vanish() -> None:
    with private_directory() as directory:
        assert directory.stat().st_mode & 0o777 == 0o700
        (directory / "keytab").write_bytes(b"x")
    assert not directory.exists()


@pytest.mark.parametrize(("text", "usable"), [("a b", True), ("", False), ("a\n", False), ("a\x7f", False)])
def test_one_line_is_text_without_control_characters(text: str, usable: bool) -> None:
    assert is_one_line(text) is usable


def test_the_realm_may_be_given_for_each_domain(tmp_path: Path) -> None:
    given = {"kerberos_realm": {"planet": "PLANET.TEST"}, "kerberos_krb5_conf": "krb5.conf", "exec_timeout": 3}
    keys = read_keys(given, HelperKeys)
    kerberos = keys.kerberos("PLANET", tmp_path)
    assert kerberos == Kerberos("PLANET.TEST", tmp_path / "krb5.conf", "/usr/bin/ktutil", 3)
    assert keys.kerberos("OTHER", tmp_path) is None
    derived = read_keys({"citrix_all_regions.ini": "x.ini"}, HelperKeys).derived(
        {"citrix": True, "ntlm": 1}, "", tmp_path
    )
    assert (derived.kinds, derived.citrix_template) == (frozenset({"citrix"}), tmp_path / "x.ini")
