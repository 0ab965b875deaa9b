"""What the repository ships for logins: account templates, icon, configuration."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from oc.auth import AuthService, LoginRequest
from oc.model.identity import ClientInfo
from oc.od.settings import Settings, load_settings

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def settings() -> Settings:
    return load_settings(ROOT / "od.config", {})


def test_the_shipped_configuration_logs_a_guest_in(settings: Settings) -> None:
    service = AuthService(settings, base=ROOT)
    login = service.login(LoginRequest(provider="anonymous"), ClientInfo("10.0.0.1"), {})
    claim = login.claims["localaccount"]
    uid, home = claim["uid"], claim["homeDirectory"]
    assert claim["passwd"] == f"{uid}:x:4096:4096:anonymous user:{home}:/bin/bash\n"
    assert claim["shadow"] == f"{uid}:{claim['sha512']}:19080:0:99999:7:::\n"
    assert claim["group"] == f"sudo:x:27:{uid}\nlpadmin:x:101:root,{uid}\n{uid}:x:4096:{uid}\n"
    assert claim["gshadow"] == f"sudo:*::{uid}\nlpadmin:!::root,{uid}\n{uid}:!::{uid}\n"


def test_the_shipped_icon_reaches_the_login_page(settings: Settings) -> None:
    public = AuthService(settings, base=ROOT).getauthconfig()
    by_name = {provider["name"]: provider for manager in public["managers"] for provider in manager["providers"]}
    assert b"<svg" in base64.b64decode(by_name["anonymous"]["icondata"])
