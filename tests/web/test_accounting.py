"""Counters: services.md 7."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from oc.od.accounting import DECLARED, Accounting, image_name


def test_declared_names_are_zero_from_the_start():
    assert Accounting().snapshot() == {category: dict.fromkeys(names, 0) for category, names in DECLARED.items()}


def test_names_and_categories_appear_when_first_counted():
    accounting = Accounting()
    accounting.increment("login", "ldap")
    accounting.increment("login", "ldap", 2)
    accounting.increment("image", "docker.io/team/paint.d:1.0")
    assert accounting.snapshot()["login"]["ldap"] == 3
    assert accounting.snapshot()["image"] == {"paint.d": 1}


def test_image_names_lose_registry_and_tag():
    for image in ("a/b/paint.d:1.0", "paint.d:latest", "reg:5000/paint.d", "a/paint.d@sha256:abc", "paint.d"):
        assert image_name(image) == "paint.d"


def test_a_gauge_is_read_when_it_is_exported():
    accounting = Accounting()
    value = [3]
    accounting.set_gauge("desktop", "current", lambda: value[0])
    assert accounting.snapshot()["desktop"]["current"] == 3
    value[0] = 4
    assert 'pyos_desktop_total{desktop="current"} 4' in accounting.text().splitlines()


def test_a_gauge_that_cannot_be_read_is_left_out():
    accounting = Accounting()
    accounting.set_gauge("desktop", "current", lambda: None)
    assert "current" not in accounting.snapshot()["desktop"]
    assert 'desktop="current"' not in accounting.text()


def test_counting_in_many_threads_loses_nothing():
    accounting = Accounting()
    threads = [
        threading.Thread(target=lambda: [accounting.increment("api", "bad_parameters") for _ in range(500)])
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert accounting.snapshot()["api"]["bad_parameters"] == 4000


def test_names_from_outside_cannot_fill_the_memory():
    accounting = Accounting()
    for number in range(2000):
        accounting.increment("login", f"provider{number}")
    assert len(accounting.snapshot()["login"]) <= 512


def test_an_unusable_category_is_not_counted_and_does_not_raise():
    accounting = Accounting()
    accounting.increment('x"} 1\n', "y")
    assert set(accounting.snapshot()) == set(DECLARED)


@given(name=st.text(min_size=1, max_size=100))
def test_any_name_gives_text_that_prometheus_reads(name):
    accounting = Accounting()
    accounting.increment("login", name)
    families = {family.name: family for family in text_string_to_metric_families(accounting.text())}
    labels = [sample.labels["login"] for sample in families["pyos_login_total"].samples]
    assert name in labels
