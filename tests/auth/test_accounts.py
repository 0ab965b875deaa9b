"""POSIX accounts and account files: defaults, cleaning, and no way to forge a line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oc.auth.accounts import (
    AccountDefaults,
    AccountError,
    AccountTemplates,
    account_from_mapping,
    generic_account,
    local_account,
    posix_dict,
    safe_uid,
)
from oc.model.identity import PosixGroup
from oc.od.settings import settings_from_mapping

from .support import TEMPLATES, write_templates

DEFAULTS = AccountDefaults(password="secret")
FRY: dict[str, Any] = {
    "cn": "fry",
    "uid": "Fry",
    "gid": "Delivery",
    "uidNumber": "2042",
    "gidNumber": 12042,
    "homeDirectory": "/home/fry",
    "loginShell": "/bin/zsh",
    "description": "Human",
    "gecos": "Philip J. Fry",
    "groups": [
        {"cn": "ship_crew", "gidNumber": "13000", "memberUid": ["fry", "leela"]},
        {"cn": "staff", "gidNumber": 13001, "memberUid": "fry"},
    ],
}


@pytest.fixture
def templates() -> AccountTemplates:
    return AccountTemplates(**TEMPLATES)


@pytest.mark.parametrize(
    ("text", "login"),
    [
        ("fry", "fry"),
        ("Philip J. Fry", "philipjfry"),
        ("--fry--", "fry--"),
        ("Élodie", "elodie"),
        ("7d4a0f0e-5a0b-4c0e-9b43-0f3e4f4b8a11", "7d4a0f0e-5a0b-4c0e-9b43-0f3e4f4"),
        ("__x", "x"),
        ("DOMAIN\\fry", "domainfry"),
    ],
)
def test_any_name_gives_a_safe_login(text: str, login: str) -> None:
    assert safe_uid(text) == login


@pytest.mark.parametrize("text", ["", "---", "漢字", ":\n"])
def test_a_name_without_a_usable_character_is_refused(text: str) -> None:
    with pytest.raises(AccountError):
        safe_uid(text)


@given(st.text(max_size=500))
def test_a_safe_login_is_always_one(text: str) -> None:
    try:
        login = safe_uid(text)
    except AccountError:
        return
    assert 1 <= len(login) <= 31
    assert login[0].isalnum()
    assert set(login) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


def test_a_directory_account_is_normalised() -> None:
    account = account_from_mapping(FRY, DEFAULTS)
    assert (account.uid, account.gid, account.uidNumber, account.gidNumber) == ("fry", "delivery", 2042, 12042)
    assert account.groups == (PosixGroup("ship_crew", 13000, ("fry", "leela")), PosixGroup("staff", 13001, ("fry",)))


def test_what_the_directory_leaves_out_comes_from_the_defaults() -> None:
    account = account_from_mapping({"uid": "leela"}, DEFAULTS)
    assert posix_dict(account) == {
        "cn": "leela",
        "uid": "leela",
        "gid": "leela",
        "uidNumber": 4096,
        "gidNumber": 4096,
        "homeDirectory": "/home/leela",
        "loginShell": "/bin/bash",
        "description": "",
        "groups": [],
        "gecos": "",
    }


def test_values_may_be_bytes_and_lists() -> None:
    account = account_from_mapping({"uid": [b"fry", b"other"], "uidNumber": [b"7"], "gecos": b"\xc3\xa9"}, DEFAULTS)
    assert (account.uid, account.uidNumber, account.gecos) == ("fry", 7, "é")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("uid", "fry:0:0"),
        ("uid", "fry\nroot"),
        ("uid", "a b"),
        ("uid", "../fry"),
        ("uid", "-rf"),
        ("uid", "x" * 65),
        ("gid", "delivery\nsudo:x:27:fry"),
        ("gid", "a,b"),
        ("uidNumber", "0"),
        ("uidNumber", 0),
        ("uidNumber", "-1"),
        ("uidNumber", "٤٢"),
        ("uidNumber", "12x"),
        ("uidNumber", "9" * 5000),
        ("uidNumber", 2**31),
        ("uidNumber", True),
        ("gidNumber", 0),
        ("homeDirectory", "home/fry"),
        ("homeDirectory", "/home/fry:x"),
        ("homeDirectory", "/home/../etc"),
        ("homeDirectory", "/home\n/x"),
        ("homeDirectory", "/" + "x" * 2000),
        ("loginShell", "bash"),
        ("loginShell", "/bin/bash\nroot::0:0::/:/bin/sh"),
        ("loginShell", "/bin/bash\u2028x"),
    ],
)
def test_a_value_that_could_forge_a_line_is_refused_and_not_quoted(field: str, value: Any) -> None:
    with pytest.raises(AccountError, match=field) as caught:
        account_from_mapping({**FRY, field: value}, DEFAULTS)
    assert caught.value.status == 401
    assert str(value)[:20] not in caught.value.message


@pytest.mark.parametrize(
    "group",
    [
        {"cn": "sudo\nroot", "gidNumber": 5},
        {"cn": "a:b", "gidNumber": 5},
        {"cn": "", "gidNumber": 5},
        {"cn": "g"},
        {"cn": "g", "gidNumber": 0},
        {"cn": "g", "gidNumber": "x"},
        {"cn": "g", "gidNumber": 5, "memberUid": ["fry,root"]},
        {"cn": "g", "gidNumber": 5, "memberUid": ["fry\n"]},
        "text",
        None,
    ],
)
def test_a_bad_supplementary_group_is_left_out_and_the_others_stay(group: Any) -> None:
    account = account_from_mapping({**FRY, "groups": [group, {"cn": "good", "gidNumber": 5}]}, DEFAULTS)
    assert [entry.cn for entry in account.groups] == ["good"]


def test_free_texts_are_cleaned_instead_of_refused() -> None:
    account = account_from_mapping({**FRY, "gecos": "a:b\nc", "cn": "x\0y"}, DEFAULTS)
    assert account.gecos == "a-b-c"
    assert account.cn == "x-y"


def test_the_files_hold_the_documented_lines(templates: AccountTemplates) -> None:
    account = account_from_mapping(FRY, DEFAULTS)
    assert templates.render(account, "$6$salt$hash") == {
        "passwd": "fry:x:2042:12042:Philip J. Fry:/home/fry:/bin/zsh\n",
        "shadow": "fry:$6$salt$hash:19080:0:99999:7:::\n",
        "group": "sudo:x:27:fry\nlpadmin:x:101:root,fry\ndelivery:x:12042:fry\n"
        "ship_crew:x:13000:fry,leela\nstaff:x:13001:fry\n",
        "gshadow": "sudo:*::fry\nlpadmin:!::root,fry\ndelivery:!::fry\nship_crew:!::fry,leela\nstaff:!::fry\n",
    }


def test_a_template_without_the_primary_group_gets_its_line(templates: AccountTemplates) -> None:
    plain = AccountTemplates(templates.passwd, templates.shadow, "sudo:x:27:{{ uid }}\n", templates.gshadow)
    account = account_from_mapping({**FRY, "groups": []}, DEFAULTS)
    assert plain.render(account, "x")["group"] == "sudo:x:27:fry\ndelivery:x:12042:\n"


def test_a_directory_group_cannot_replace_a_group_of_the_template(templates: AccountTemplates) -> None:
    groups = [{"cn": "sudo", "gidNumber": 99, "memberUid": ["mallory"]}]
    files = templates.render(account_from_mapping({**FRY, "groups": groups}, DEFAULTS), "x")
    assert "mallory" not in files["group"] + files["gshadow"]


def test_nothing_is_escaped_for_html(templates: AccountTemplates) -> None:
    account = account_from_mapping({**FRY, "gecos": 'O\'Hara & <Sons> "x"'}, DEFAULTS)
    assert 'O\'Hara & <Sons> "x"' in templates.render(account, "x")["passwd"]


def test_mustache_in_a_value_is_not_evaluated(templates: AccountTemplates) -> None:
    account = account_from_mapping({**FRY, "gecos": "{{ sha512 }}{{> /etc/passwd }}"}, DEFAULTS)
    passwd = templates.render(account, "$6$hash")["passwd"]
    assert "$6$hash" not in passwd
    assert "{{ sha512 }}" in passwd


printable = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=40)


@given(uid=printable, gid=printable, gecos=printable, home=printable, shell=printable)
def test_no_account_makes_more_than_one_passwd_line(uid: str, gid: str, gecos: str, home: str, shell: str) -> None:
    values = {"uid": uid, "gid": gid, "gecos": gecos, "homeDirectory": f"/{home}", "loginShell": f"/{shell}"}
    try:
        account = account_from_mapping(values, DEFAULTS)
    except AccountError:
        return
    files = AccountTemplates(**TEMPLATES).render(account, "$6$s$h")
    assert files["passwd"].endswith("\n")
    assert len(files["passwd"].split("\n")) == 2
    assert files["passwd"].count(":") == 6
    assert all(line.count(":") == 3 for line in files["group"].splitlines())


def test_the_local_account_holds_files_and_identity_fields(templates: AccountTemplates) -> None:
    claim = local_account(account_from_mapping(FRY, DEFAULTS), "$6$salt$hash", templates)
    assert list(claim) == [
        *("passwd", "shadow", "group", "gshadow"),
        *("uid", "gid", "uidNumber", "gidNumber", "homeDirectory", "loginShell", "description", "groups", "gecos"),
        "sha512",
    ]
    assert claim["sha512"] == "$6$salt$hash"
    assert claim["shadow"].startswith("fry:$6$salt$hash:")


def test_the_generic_account_uses_the_configured_ids() -> None:
    defaults = AccountDefaults(uid_number=5000, gid_number=6000, home_root="/data", shell="/bin/sh")
    account = generic_account("fry", defaults, gid="crew", gecos="g")
    assert (account.gid, account.uidNumber, account.gidNumber) == ("crew", 5000, 6000)
    assert (account.homeDirectory, account.loginShell) == ("/data/fry", "/bin/sh")


def test_without_a_configured_password_it_is_random_and_hidden() -> None:
    first, second = (AccountDefaults.from_settings(settings_from_mapping({}).desktop.account) for _ in range(2))
    assert len(first.password) >= 24
    assert first.password != second.password
    assert first.password not in repr(first)


def test_templates_are_read_from_the_configured_files(tmp_path: Path) -> None:
    write_templates(tmp_path)
    (tmp_path / "other").write_text("x:{{uid}}\n")
    settings = settings_from_mapping({"template_passwd_filename": "other"}).desktop.account
    files = AccountTemplates.load(settings, tmp_path).render(generic_account("fry", DEFAULTS), "h")
    assert files["passwd"] == "x:fry\n"
    assert files["shadow"] == "fry:h:19080:0:99999:7:::\n"


def test_a_missing_template_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="passwd"):
        AccountTemplates.load(settings_from_mapping({}).desktop.account, tmp_path)
