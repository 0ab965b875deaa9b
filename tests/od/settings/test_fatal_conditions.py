"""What makes a file unusable: every condition names the key, what is wrong and what is expected."""

from __future__ import annotations

import pytest

from .support import Failures, Loader

CONDITIONS = [
    ("websocketrouting: 'somewhere'", "websocketrouting", "expected one of 'default_host_url', 'host'"),
    ("websocketrouting: None", "websocketrouting", "None is not valid"),
    ("desktop.nodeselector: []", "desktop.nodeselector", "expected a dict"),
    ("desktop.nodeselector: None", "desktop.nodeselector", "None is not valid, expected a dict"),
    ("desktop.nodeselector: { 'a': 1 }", "desktop.nodeselector.a", "1 is not valid"),
    ("desktop.directorytomemoryemptydir: '.cache'", "desktop.directorytomemoryemptydir", "expected a list"),
    ("desktop.directorytomemoryemptydir: { }", "desktop.directorytomemoryemptydir", "expected a list"),
    ("desktop.directorytomemoryemptydir: [ '/abs' ]", "desktop.directorytomemoryemptydir[0]", "below home"),
    ("dock: { 'x': 'y' }", "dock.x", "expected a dict"),
    ("dock: []", "dock", "expected a dict"),
    ("authorized_keys: []", "authorized_keys", "expected a dict"),
    ("authorized_keys: { 'fry': 'no key' }", "authorized_keys.fry", "expected an OpenSSH public key line"),
    ("trusted_proxy_cidr: [ '10.0.0.0/8', '10.0.0.0/99' ]", "trusted_proxy_cidr[1]", "'10.0.0.0/99' is not valid"),
    ("trusted_proxy_cidr: [ 'proxy.example.org' ]", "trusted_proxy_cidr[0]", "expected a network"),
    ("jwt_token_user: { 'exp': 'soon' }", "jwt_token_user.exp", "'soon' is not valid"),
    ("jwt_token_user: { 'exp': None }", "jwt_token_user.exp", "expected a whole number (s)"),
    ("jwt_token_desktop: { 'exp': 0 }", "jwt_token_desktop.exp", "between 1 and"),
    ("jwt_token_desktop: { 'exp': True }", "jwt_token_desktop.exp", "True is not valid"),
    ("jwt_token_desktop: 360", "jwt_token_desktop", "expected a dict"),
    ("internaldns.enable: True\ninternaldns.secret: 's'", "internaldns.server", "is missing"),
    ("internaldns.enable: True\ninternaldns.server: 'dns'", "internaldns.secret", "is missing"),
    ("internaldns.server: 5", "internaldns.server", "5 is not valid"),
    ("mongodburl: 'http://mongodb'", "mongodburl", "not a MongoDB URL"),
    ("mongodburl: 'mongodb://'", "mongodburl", "names no host"),
    ("mongodburl: 'mongodb://user:pw@'", "mongodburl", "names no host"),
    ("mongodburl: 'mongodb://h1,,h2'", "mongodburl", "names no host"),
    ("mongodbparam: 'a b'", "mongodbparam", "expected query parameters"),
    ("memcacheserver: ''", "memcacheserver", "not empty"),
    ("memcacheport: 0", "memcacheport", "between 1 and 65535"),
    (
        "controllers: { 'ManagerController': { 'permitip': [ 'x' ] } }",
        "controllers.ManagerController.permitip[0]",
        "netw",
    ),
    (
        "controllers: { 'ManagerController': { 'enable': 'yes' } }",
        "controllers.ManagerController.enable",
        "True or False",
    ),
    ("controllers: { 'ComposerController': [] }", "controllers.ComposerController", "expected a dict"),
    (
        "controllers: { 'ManagerController': { 'database_acl': [ 'all' ] } }",
        "controllers.ManagerController.database_acl[0]",
        "one of",
    ),
    ("fail2ban: { 'failsbeforeban': 0 }", "fail2ban.failsbeforeban", "between 1 and"),
    ("fail2ban: { 'banexpireafterseconds': -1 }", "fail2ban.banexpireafterseconds", "at least 1"),
    ("fail2ban: { 'protectednetworks': [ 'lan' ] }", "fail2ban.protectednetworks[0]", "expected a network"),
    ("language: []", "language", "at least one locale"),
    ("language: [ 'english' ]", "language[0]", "a locale such as 'en_US'"),
    ("namespace: 'Not_A_Name'", "namespace", "expected a namespace name"),
    ("desktop.homedirectorytype: 'floppy'", "desktop.homedirectorytype", "one of 'hostPath'"),
    ("desktop.homedirectorytype: 'nfs'", "desktop.homedirectorytype", "needs the key desktop.nfs"),
    ("desktop.homedirectorytype: 'persistentVolumeClaim'", "desktop.homedirectorytype", "needs the key desktop.pers"),
    ("desktop.persistentvolumeclaim: [ 'x' ]", "desktop.persistentvolumeclaim", "dict (template)"),
    ("desktop.defaultbackgroundcolors: [ 'red' ]", "desktop.defaultbackgroundcolors[0]", "#RRGGBB"),
    ("desktop.defaultbackgroundcolors: [ '#000000' ] * 9", "desktop.defaultbackgroundcolors", "at most 8"),
    ("desktop.features_permissions: [ 'write' ]", "desktop.features_permissions[0]", "'read', 'submit'"),
    ("desktop.zoom: 0", "desktop.zoom", "between 0.1 and 10"),
    ("desktop.userid: -1", "desktop.userid", "at least 0"),
    ("desktop.username: 'a:b'", "desktop.username", "a login name"),
    ("desktop.envlocal: { 'A': [] }", "desktop.envlocal.A", "expected text"),
    ("desktop.envlocal: { 'A=B': 'x' }", "desktop.envlocal.A=B", "environment variable"),
    ("desktop.policies: []", "desktop.policies", "expected a dict"),
    ("desktop.policies: { 'max_app_counter': 'many' }", "desktop.policies.max_app_counter", "'many' is not valid"),
    ("executeclasses: []", "executeclasses", "expected a dict"),
    (
        "executeclasses: { 'default': { 'resources': { 'limits': { 'memory': 'lots' } } } }",
        "executeclasses.default.resources.limits.memory",
        "a quantity such as '8Gi'",
    ),
    ("desktop.pod: None", "desktop.pod", "None is not valid, expected a dict"),
    ("desktop.pod: [ 1 ]", "desktop.pod", "expected a dict"),
    ("desktop.pod: { 'graphical': [] }", "desktop.pod.graphical", "expected a dict"),
    ("desktop.pod: { 'graphical': { 'tcpport': 70000 } }", "desktop.pod.graphical.tcpport", "70000 is not valid"),
    ("desktop.pod: { 'graphical': { 'enable': 1 } }", "desktop.pod.graphical.enable", "True or False"),
    ("desktop.pod: { 'graphical': { 'acl': [ 'all' ] } }", "desktop.pod.graphical.acl", "access list"),
    ("desktop.pod: { 'graphical': { 'image': 5 } }", "desktop.pod.graphical.image", "5 is not valid"),
    ("desktop.pod: { 'graphical': { 'image': 'a b' } }", "desktop.pod.graphical.image", "an image name"),
    ("desktop.pod: { 'graphical': { 'volumes': [ 3 ] } }", "desktop.pod.graphical.volumes[0]", "a volume name"),
    (
        "desktop.pod: { 'graphical': { 'imagePullPolicy': 'Sometimes' } }",
        "desktop.pod.graphical.imagePullPolicy",
        "'IfNotPresent', 'Always', 'Never'",
    ),
    (
        "desktop.pod: { 'graphical': { 'securityContext': { 'runAsUser': 1.5 } } }",
        "desktop.pod.graphical.securityContext.runAsUser",
        "whole number",
    ),
    (
        "desktop.pod: { 'default_volumes': { 'shm': { 'emptyDir': { 'sizeLimit': 'big' } } } }",
        "desktop.pod.default_volumes.shm.emptyDir.sizeLimit",
        "a quantity",
    ),
    (
        "desktop.pod: { 'default_volumes_mount': { 'shm': { 'mountPath': 'dev/shm' } } }",
        "desktop.pod.default_volumes_mount.shm.mountPath",
        "an absolute path",
    ),
    ("tipsinfo: { 'x': b'bytes' }", "tipsinfo.x", "a value of type bytes is not valid"),
    ("tipsinfo: { 1: 'x' }", "tipsinfo", "key 1 is not text"),
]


@pytest.mark.parametrize(("text", "key", "reason"), CONDITIONS, ids=[text[:60] for text, _, _ in CONDITIONS])
def test_the_file_is_refused(failures: Failures, text: str, key: str, reason: str) -> None:
    whole = "[global]\ndefault_host_url: 'http://x.org'\n" + text + "\n"
    if "desktop.pod" not in text:
        whole += "desktop.pod: {}\n"
    problems = failures(whole, whole=True)
    assert [problem.key for problem in problems] == [key]
    assert reason in problems[0].text
    assert "expected" in problems[0].text or "missing" in problems[0].text or "not " in problems[0].text


def test_a_file_without_desktop_pod_is_refused(failures: Failures) -> None:
    (problem,) = failures("[global]\ndefault_host_url: 'http://x.org'\n", whole=True)
    assert (problem.key, problem.text) == ("desktop.pod", "is missing, expected a dict")


def test_a_desktop_pod_that_cannot_be_read_is_not_called_missing(failures: Failures) -> None:
    (problem,) = failures("[global]\ndesktop.pod: { 'graphical': oops }\n", whole=True)
    assert problem.key == "desktop.pod"
    assert "Name is not allowed" in problem.text


@pytest.mark.parametrize(
    "url", ["", "default_host_url: 'not a url'\n", "default_host_url: 5\n", "default_host_url: None\n"]
)
def test_routing_to_the_public_url_needs_one(failures: Failures, url: str) -> None:
    problems = failures(f"[global]\ndesktop.pod: {{}}\n{url}websocketrouting: 'default_host_url'\n", whole=True)
    (problem,) = [problem for problem in problems if problem.level == "error"]
    assert problem.key == "websocketrouting"
    assert "default_host_url" in problem.text


def test_the_error_list_holds_errors_only(failures: Failures) -> None:
    problems = failures("unknown_key: 1\nserver.socket_port: 'x'\n")
    assert [problem.key for problem in problems] == ["server.socket_port"]


def test_too_many_entries_are_refused(failures: Failures) -> None:
    (problem,) = failures("fail2ban: { 'protectednetworks': [ '10.0.0.0/8' ] * 1001 }\n")
    assert "1001 elements, expected at most 1000" in problem.text


def test_too_long_a_text_is_refused_without_being_quoted(failures: Failures) -> None:
    (problem,) = failures("desktop.username: 'x' * 5000\n")
    assert "text of 5000 characters, expected at most 32" in problem.text
    assert len(problem.text) < 100


def test_a_good_file_has_no_finding(load: Loader) -> None:
    assert load().warnings == ()
