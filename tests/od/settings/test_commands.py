"""`--check-config`: exit status and findings; and the files a configuration names."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from oc.od.settings import load_settings
from oc.od.settings.commands import CLEAN, ERRORS, WARNINGS, check_config
from oc.od.settings.files import MAX_ICON, check_files

from .support import MINIMAL, ROOT

KEYS = """
jwt_token_user: { 'jwtuserprivatekeyfile': 'k/private.pem', 'jwtuserpublickeyfile': 'k/public.pem' }
jwt_token_desktop: { 'jwtdesktopprivatekeyfile': 'k/private.pem', 'jwtdesktoppublickeyfile': 'k/public.pem',
    'payloaddesktoppublickeyfile': 'k/pkcs1.pem' }
geoip.city_database: 'k/geo'
geoip.asn_database: 'k/geo'
asn.database: 'k/geo'
dock: { 'webshell': { 'name': 'W', 'icon': 'webshell.svg' } }
"""


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key files as openssl makes them for an installation."""
    directory = tmp_path_factory.mktemp("keys")
    for arguments in (
        ["genrsa", "-out", "private.pem", "2048"],
        ["rsa", "-in", "private.pem", "-pubout", "-out", "public.pem"],
        ["rsa", "-pubin", "-in", "public.pem", "-RSAPublicKey_out", "-out", "pkcs1.pem"],
    ):
        subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)
    (directory / "geo").touch()
    return directory


@pytest.fixture
def site(tmp_path: Path, keys: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with everything the configuration in it names; returns the configuration."""
    shutil.copytree(keys, tmp_path / "k")
    shutil.copytree(ROOT / "img", tmp_path / "img")
    for name in ("passwd", "group", "shadow", "gshadow"):
        shutil.copy(ROOT / name, tmp_path / name)
    file = tmp_path / "od.config"
    file.write_text(MINIMAL + KEYS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return file


def check(file: Path) -> tuple[int, list[str]]:
    out = io.StringIO()
    status = check_config(file, {}, out)
    return status, out.getvalue().splitlines()


def test_a_clean_file_gives_0_and_a_summary(site: Path) -> None:
    assert check(site) == (CLEAN, [f"{site}: 0 errors, 0 warnings, 0 remarks"])
    assert CLEAN == 0


def test_a_warning_gives_2(site: Path) -> None:
    site.write_text(site.read_text() + "unknown_thing: 1\n")
    status, lines = check(site)
    assert status == WARNINGS == 2
    line = site.read_text().count("\n")
    assert lines[0] == f"{site}:{line}: unknown_thing: unknown key, ignored [warning]"


def test_advice_alone_gives_0(site: Path) -> None:
    site.write_text(site.read_text().replace("desktop.userpasswd: 'x'\n", ""))
    status, lines = check(site)
    assert status == CLEAN
    assert lines[0].endswith("[advice]")
    assert lines[-1].endswith("0 errors, 0 warnings, 1 remarks")


def test_an_error_gives_255_whatever_else_is_found(site: Path) -> None:
    site.write_text(site.read_text() + "unknown_thing: 1\nserver.socket_port: 'x'\n")
    status, lines = check(site)
    assert status == ERRORS == 255
    assert lines[0].endswith("expected a whole number between 0 and 65535 [error]")


def test_a_missing_configuration_gives_255(tmp_path: Path) -> None:
    status, lines = check(tmp_path / "none")
    assert status == ERRORS
    assert "cannot be read" in lines[0]


def test_the_path_may_be_text_or_come_from_the_environment(site: Path) -> None:
    out = io.StringIO()
    assert check_config(str(site), {}, out) == CLEAN
    assert check_config(None, {"OD_CONFIG_PATH": str(site)}, out) == CLEAN
    assert check_config(None, {}, out) == CLEAN


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("k/private.pem", "jwt_token_user.jwtuserprivatekeyfile"),
        ("k/public.pem", "jwt_token_desktop.jwtdesktoppublickeyfile"),
        ("k/pkcs1.pem", "jwt_token_desktop.payloaddesktoppublickeyfile"),
        ("passwd", "template_passwd_filename"),
        ("group", "template_group_filename"),
        ("shadow", "template_shadow_filename"),
        ("gshadow", "template_gshadow_filename"),
    ],
)
def test_a_missing_file_the_server_cannot_do_without_is_an_error(site: Path, name: str, key: str) -> None:
    (site.parent / name).unlink()
    status, lines = check(site)
    assert status == ERRORS
    assert any(f" {key}: {name}: no such file" in line for line in lines)


def test_a_finding_about_a_named_file_carries_the_line_of_its_key(site: Path) -> None:
    (site.parent / "k/pkcs1.pem").unlink()
    _, lines = check(site)
    number = next(n for n, line in enumerate(site.read_text().splitlines(), 1) if "payloaddesktop" in line)
    assert lines[0].startswith(f"{site}:{number}: jwt_token_desktop.payloaddesktoppublickeyfile: ")


def test_a_public_key_in_place_of_a_private_one_is_an_error_that_shows_no_key(site: Path) -> None:
    private, public = site.parent / "k/private.pem", site.parent / "k/public.pem"
    content = private.read_text()
    private.write_text(public.read_text())
    public.write_text(content)
    status, lines = check(site)
    assert status == ERRORS
    assert sum("no such key inside" in line for line in lines) == 4
    assert content.splitlines()[3] not in "\n".join(lines)


def test_a_previous_public_key_is_checked_when_set(site: Path) -> None:
    text = site.read_text().replace(
        "'k/public.pem' }\njwt", "'k/public.pem', 'jwtuserpublickeyfile_previous': 'k/old.pem' }\njwt"
    )
    site.write_text(text)
    _, lines = check(site)
    assert "jwt_token_user.jwtuserpublickeyfile_previous: k/old.pem: no such file" in lines[0]


def test_a_missing_icon_is_a_warning_and_the_entry_stays(site: Path) -> None:
    (site.parent / "img/app/webshell.svg").unlink()
    status, lines = check(site)
    assert status == WARNINGS
    assert "dock.webshell.icon: webshell.svg: no such file" in lines[0]
    assert load_settings(site, {}).dock.entries["webshell"] == {"name": "W", "icon": "webshell.svg"}


@pytest.mark.parametrize("icon", ["../../od.config", "/etc/hostname", "a/b.svg", "..", ""])
def test_an_icon_cannot_be_a_file_outside_its_directory(site: Path, icon: str) -> None:
    site.write_text(site.read_text().replace("webshell.svg", icon))
    status, lines = check(site)
    assert status == WARNINGS
    assert "dock.webshell.icon" in lines[0]


def test_a_huge_icon_is_a_warning(site: Path) -> None:
    with (site.parent / "img/app/webshell.svg").open("wb") as stream:
        stream.truncate(MAX_ICON + 1)
    status, lines = check(site)
    assert status == WARNINGS
    assert "dock.webshell.icon" in lines[0]


def test_a_log_file_in_a_missing_directory_is_a_warning(site: Path) -> None:
    handler = "logging: { 'version': 1, 'handlers': { 'f': { 'filename': 'logs/x.log' }, 'c': { 'class': 'x' } } }\n"
    site.write_text(site.read_text() + handler)
    status, lines = check(site)
    assert status == WARNINGS
    assert "logging.handlers.f.filename: the directory of 'logs/x.log' does not exist" in lines[0]
    (site.parent / "logs").mkdir()
    assert check(site)[0] == CLEAN


def test_missing_address_databases_are_remarks_only(site: Path) -> None:
    (site.parent / "k/geo").unlink()
    assert check(site)[0] == CLEAN
    assert [p.key for p in check_files(load_settings(site, {}))] == [
        "geoip.city_database",
        "geoip.asn_database",
        "asn.database",
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "cannot be read (No such file or directory), expected a file with the key in its first line"),
        (b"", "a key of 0 characters, expected 1 to 1024"),
        (b"\nkey\n", "a key of 0 characters, expected 1 to 1024"),
        (b"k" * 1025, "a key of 1025 characters, expected 1 to 1024"),
        (b"\xff\xfe", "no UTF-8 text, expected a file with the key in its first line"),
    ],
)
def test_a_key_file_without_a_usable_key_is_an_error_at_its_line(
    site: Path, content: bytes | None, expected: str
) -> None:
    file = site.parent / "key"
    if content is not None:
        file.write_bytes(content)
    named = f"controllers: {{\n  'ManagerController': {{\n    'apikey': [ 'literal',\n      '{file.as_uri()}' ] }} }}\n"
    site.write_text(site.read_text() + named)
    status, lines = check(site)
    assert status == ERRORS
    line = site.read_text().count("\n")
    assert lines[0] == f"{site}:{line}: controllers.ManagerController.apikey[1]: {file}: {expected} [error]"


def test_a_key_file_with_a_key_is_well_and_a_published_key_in_it_is_told(site: Path) -> None:
    file = site.parent / "a key"
    uri = file.as_uri().replace("%", "%%")  # a % of the file's grammar is written twice
    entry = f"controllers: {{ 'DesktopController': {{ 'authdnskey': '{uri}' }} }}\n"
    site.write_text(site.read_text() + entry)
    file.write_text("a-good-key\nmore\n")
    assert check(site)[0] == CLEAN
    file.write_text("change-me\n")
    status, lines = check(site)
    assert status == CLEAN
    assert lines[0].endswith("authdnskey: " + str(file) + ": this key is published, choose another [advice]")
    assert "change-me" not in lines[0]


def test_a_configuration_may_come_through_a_pipe(site: Path) -> None:
    """As of `kubectl exec -i … -- ./od.py --check-config /dev/stdin < od.config`."""
    site.write_text(
        site.read_text() + "controllers: { 'ManagerController': { 'apikey': [ 'file:///nowhere/key' ] } }\n"
    )
    command = [sys.executable, str(ROOT / "od.py"), "--check-config", "/dev/stdin"]
    done = subprocess.run(command, input=site.read_bytes(), capture_output=True, cwd=site.parent, check=False)
    assert done.returncode == ERRORS
    line = site.read_text().count("\n")
    expected = f"/dev/stdin:{line}: controllers.ManagerController.apikey[0]: /nowhere/key: cannot be read"
    assert done.stdout.decode().startswith(expected), done.stderr
