"""TLS to the API server: one context, sessions resumed, certificates of the files as they are now, an unknown server
refused.
"""

from __future__ import annotations

import os
import shutil
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from kubernetes.client import Configuration

from oc.model.deadline import Deadline
from oc.model.identity import Login
from oc.od.orchestrator import Desktop, KubernetesClient, KubernetesError, Orchestrator
from oc.od.orchestrator.execution import run_in_container
from oc.od.orchestrator.resources import PODS
from oc.od.orchestrator.tls import ResumingContext, ServerTls

from .support import CLIENT, Progress


@pytest.fixture
def desktop(orchestrator: Orchestrator, login: Login) -> Desktop:
    orchestrator.write_login_secrets(login)
    return orchestrator.create_desktop(login.identity, CLIENT, Progress(), Deadline(30))


@pytest.fixture
def run(desktop: Desktop) -> Callable[[KubernetesClient], int]:
    return lambda client: run_in_container(client, desktop.name, "x-graphical", ["/bin/true"], timeout=10).exit_code


@pytest.fixture
def contexts(monkeypatch: pytest.MonkeyPatch) -> list[ResumingContext]:
    """The context of each connection that was closed."""
    seen: list[ResumingContext] = []
    original = ResumingContext.keep_session

    def noting(self: ResumingContext, sock: ssl.SSLSocket) -> None:
        seen.append(self)
        original(self, sock)

    monkeypatch.setattr(ResumingContext, "keep_session", noting)
    return seen


def test_the_second_command_resumes_the_session_of_the_first(
    configuration: Configuration, run: Callable[[KubernetesClient], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    reused: list[bool | None] = []
    original = ResumingContext.keep_session

    def noting(self: ResumingContext, sock: ssl.SSLSocket) -> None:
        reused.append(sock.session_reused)
        original(self, sock)

    monkeypatch.setattr(ResumingContext, "keep_session", noting)
    client = KubernetesClient(configuration, "abcdesktop")
    assert [run(client) for _ in range(3)] == [0, 0, 0]
    assert reused == [False, True, True]


def test_a_session_the_server_knows_no_more_is_replaced(
    configuration: Configuration, run: Callable[[KubernetesClient], int], contexts: list[ResumingContext]
) -> None:
    client = KubernetesClient(configuration, "abcdesktop")
    assert run(client) == 0
    context = contexts[0]
    first = context.last_session
    assert first is not None
    context.set_ciphers("ALL")  # what the session was agreed on is no matter
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # a session of TLS 1.3 cannot be resumed
    assert run(client) == 0
    assert contexts[1] is context
    assert context.last_session is not first


def test_one_context_serves_until_a_file_changes(configuration: Configuration, tmp_path: Path) -> None:
    authorities = tmp_path / "ca.crt"
    shutil.copy(configuration.ssl_ca_cert, authorities)
    configuration.ssl_ca_cert = str(authorities)
    subject = ServerTls(configuration)
    first = subject.context()
    assert subject.context() is first
    os.utime(authorities, (1, 1))
    assert subject.context() is not first


def test_an_authority_may_be_given_as_text(
    configuration: Configuration, run: Callable[[KubernetesClient], int]
) -> None:
    configuration.refresh_api_key_hook = None  # it would set the file again
    configuration.ca_cert_data = Path(configuration.ssl_ca_cert).read_text()
    configuration.ssl_ca_cert = None
    assert run(KubernetesClient(configuration, "abcdesktop")) == 0


def test_a_server_of_another_authority_is_refused(
    configuration: Configuration, run: Callable[[KubernetesClient], int]
) -> None:
    configuration.refresh_api_key_hook = None
    configuration.ssl_ca_cert = None  # those of the system
    client = KubernetesClient(configuration, "abcdesktop", sleep=lambda seconds: None)
    for act in (lambda: run(client), lambda: client.items(PODS, "type=none")):
        with pytest.raises(KubernetesError) as caught:
            act()
        assert (caught.value.code, caught.value.maybe_done) == (0, False)
    configuration.verify_ssl = False
    assert run(KubernetesClient(configuration, "abcdesktop")) == 0


def test_a_server_of_another_name_is_refused(configuration: Configuration) -> None:
    configuration.tls_server_name = "elsewhere.example.org"
    client = KubernetesClient(configuration, "abcdesktop", sleep=lambda seconds: None)
    with pytest.raises(KubernetesError) as caught:
        client.items(PODS, "type=none")
    assert "CertVerification" in caught.value.api_message


def test_a_certificate_file_that_is_missing_is_an_error_of_the_call(
    configuration: Configuration, run: Callable[[KubernetesClient], int], tmp_path: Path
) -> None:
    configuration.refresh_api_key_hook = None
    configuration.ssl_ca_cert = str(tmp_path / "none")
    with pytest.raises(KubernetesError) as caught:
        run(KubernetesClient(configuration, "abcdesktop"))
    assert caught.value.code == 0


def test_contexts_verify_by_default() -> None:
    context = ResumingContext(ssl.PROTOCOL_TLS_CLIENT)
    assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)
