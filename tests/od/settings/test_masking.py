"""No secret leaves through --print-config, an error, a warning or `repr`."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from oc.od.settings import ConfigurationError, load_settings, settings_from_mapping
from oc.od.settings.commands import check_config, print_config
from oc.od.settings.masking import MASK, effective, mask_text, render
from oc.od.settings.provider_keys import PROVIDER_KEYS

from .support import Failures

S = "S3cr3t"
"""Every secret of the marked file starts with this."""

MARKED = f"""
[global]
default_host_url: 'https://desk.example.org'
mongodburl: 'mongodb://pyos:{S}1@mongodb'
desktop.userpasswd: '{S}2'
internaldns.enable: True
internaldns.server: 'dns'
internaldns.secret: '{S}3'
controllers: {{ 'ManagerController': {{ 'apikey': [ '{S}4' ] }}, 'DesktopController': {{ 'authdnskey': '{S}5' }} }}
jira: {{ 'url': 'https://j.org', 'username': 'u', 'apikey': '{S}7', 'project_id': 'P' }}
webrtc.coturn: {{ 'coturn_static_auth_secret': '{S}8', 'url': 'h:1', 'protocol': 'turn' }}
webrtc.rtc_configuration: {{ 'iceServers': [ {{ 'urls': 'turn:h', 'username': 'u', 'credential': '{S}9' }} ] }}
desktop.webhookdict: {{ 'anything': '{S}10' }}
desktop.envlocal: {{ 'DB_PASSWORD': '{S}11', 'SIGNING_KEY': '{S}12', 'HARMLESS': 'seen-env' }}
desktop.envlocalrules: {{ 'crew': {{ 'MY_TOKEN': '{S}13' }} }}
desktop.policies: {{ 'rules': {{ 'network': {{
    'default': {{ 'webhook': {{ 'create': [ 'curl -H "Authorization: {S}14" https://fw' ],
                                'destroy': 'curl https://fw/?token={S}15' }},
                  'name': 'seen-network' }} }} }} }}
tipsinfo: {{ 'link': 'https://me:{S}16@x.org/?q=1&api_key={S}17&z=seen-query' }}
logging: {{ 'version': 1, 'handlers': {{ 'db': {{ 'class': 'oc.logging.MongoHandler', 'address': 'seen-log',
    'login': 'pyos', 'password': '{S}18' }}, 'http': {{ 'dsn': 'https://{S}19@sentry/1' }} }} }}
authmanagers: {{
    'external': {{ 'providers': {{ 'google': {{ 'client_id': 'seen-client', 'client_secret': '{S}20', 'state': '{S}21',
        'scope': [ 'openid' ] }} }} }},
    'explicit': {{ 'providers': {{ 'ad': {{ 'config_ref': 'adconfig', 'defaultpassword': '{S}22' }} }} }},
    'implicit': {{ 'providers': {{ 'anon': {{ 'unknown_password': '{S}23' }} }} }} }}
adconfig: {{ 'ad': {{ 'servers': [ 'seen-server' ],
    'serviceaccount': {{ 'login': 'seen-login', 'password': '{S}24' }} }} }}
unread_secret: '{S}25'
server.ssl_private_key_password: '{S}26'
desktop.pod: {{}}
"""


@pytest.fixture
def marked(tmp_path: Path) -> Path:
    file = tmp_path / "od.config"
    file.write_text(MARKED, encoding="utf-8")
    return file


def test_print_config_shows_the_values_but_no_secret(marked: Path) -> None:
    out = io.StringIO()
    assert print_config(marked, {}, out) == 0
    shown = out.getvalue()
    assert S not in shown
    assert MASK in shown
    for word in ("seen-env", "seen-network", "seen-query", "seen-log", "seen-client", "seen-server", "seen-login"):
        assert word in shown


def test_a_secret_from_the_environment_is_masked_too(marked: Path) -> None:
    out = io.StringIO()
    print_config(marked, {"MONGODB_URL": f"mongodb://u:{S}@h"}, out)
    assert S not in out.getvalue()
    assert f"mongodburl: 'mongodb://{MASK}@h'" in out.getvalue()


def test_no_finding_shows_a_secret(marked: Path) -> None:
    out = io.StringIO()
    check_config(marked, {}, out)
    assert S not in out.getvalue()
    assert "unread_secret" in out.getvalue()


def test_repr_and_str_of_settings_show_no_secret(marked: Path) -> None:
    settings = load_settings(marked, {})
    parts = [settings, settings.auth, settings.mongodb, settings.account, settings.jira, settings.internaldns]
    parts += [settings.webrtc, settings.policies, *settings.controllers.values(), *settings.auth.managers.values()]
    for part in parts:
        shown = repr(part) + str(part)
        assert not any(f"{S}{n}'" in shown or f"{S}{n}@" in shown for n in range(1, 27) if n not in (16, 17))


def test_the_generated_password_is_masked() -> None:
    settings = settings_from_mapping({})
    assert settings.account.userpasswd not in render(settings)
    assert settings.account.userpasswd not in repr(settings)


@pytest.mark.parametrize(
    "text",
    [
        f"mongodburl: 'http://u:{S}@h'",
        f"mongodburl: 'mongodb://u:{S}@'",
        f"mongodburl: [ '{S}' ]",
        f"desktop.userpasswd: [ '{S}' ]",
        f"desktop.userpasswd: '{S}' * 100",
        f"desktop.userpasswd: '{S}\\0'",
        f"internaldns.secret: {{ 'x': '{S}' }}",
        f"controllers: {{ 'ManagerController': {{ 'apikey': [ '{S}' * 1000 ] }} }}",
        f"controllers: {{ 'ManagerController': {{ 'apikey': {{ '{S}': 1 }} }} }}",
        f"jira: {{ 'url': 'ftp://u:{S}@h' }}",
        f"jira: {{ 'url': 'https://u:{S}@h' }}",
        f"webrtc.coturn: {{ 'url': 5, 'coturn_static_auth_secret': [ '{S}' ] }}",
        f"desktop.userpasswd: '{S}",
        f"desktop.userpasswd: {S}",
        f"desktop.userpasswd: open('{S}')",
        f"desktop.userpasswd: '{S}%'",
        f"authmanagers: '{S}'",
    ],
)
def test_no_error_shows_a_secret(failures: Failures, text: str) -> None:
    problems = failures(f"[global]\ndesktop.pod: {{}}\n{text}\n", whole=True)
    assert S not in str(ConfigurationError(problems))


def test_every_provider_key_marked_secret_is_masked() -> None:
    for manager, keys in PROVIDER_KEYS.items():
        marked = {key.key: f"{S}-{key.key}" for key in keys if key.secret and key.key != "serviceaccount"}
        settings = settings_from_mapping({"authmanagers": {manager: {"providers": {"p": marked}}}})
        shown = effective(settings)["authmanagers"][manager]["providers"]["p"]
        assert marked
        assert shown == dict.fromkeys(marked, MASK)


def test_what_is_printed_can_be_loaded_again(marked: Path, tmp_path: Path) -> None:
    out = io.StringIO()
    print_config(marked, {}, out)
    again = tmp_path / "again.config"
    again.write_text(out.getvalue(), encoding="utf-8")
    second = io.StringIO()
    assert print_config(again, {}, second) == 0
    assert second.getvalue() == out.getvalue()


def test_print_config_of_a_broken_file_fails_with_its_errors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "od.config"
    file.write_text("[global]\ndesktop.pod: 5\n", encoding="utf-8")
    out = io.StringIO()
    assert print_config(file, {}, out) == 255
    assert out.getvalue() == ""
    assert "od.config:2: desktop.pod: 5 is not valid, expected a dict" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("mongodb://u:p@h/x", f"mongodb://{MASK}@h/x"),
        ("see https://t0k3n@h and http://h/@x", f"see https://{MASK}@h and http://h/@x"),
        ("http://h/?password=a&x=b", f"http://h/?password={MASK}&x=b"),
        ("http://h/?x=b;client_secret=a#f", f"http://h/?x=b;client_secret={MASK}#f"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE", MASK),
        ("plain text, me@example.org", "plain text, me@example.org"),
    ],
)
def test_secrets_inside_texts_are_masked(text: str, masked: str) -> None:
    assert mask_text(text) == masked


def test_names_that_only_sound_secret_are_shown() -> None:
    shown = effective(settings_from_mapping({"desktop.snapshotregistrysecretname": "registry"}))
    assert shown["desktop.snapshotregistrysecretname"] == "registry"
    assert shown["desktop.secretsrootdirectory"] == "/var/secrets/"
    assert shown["template_passwd_filename"] == "passwd"
    assert shown["jwt_token_user"]["jwtuserprivatekeyfile"].startswith("/config.usersigning/")
