"""The development cluster answers as a real Kubernetes 1.34 did, record by record."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from .kubewire import Server
from .replay import known_differences, records_of, replay, topics


@pytest.mark.timeout(300)
@pytest.mark.parametrize("topic", topics())
def test_every_recorded_exchange_is_answered_as_recorded(topic: str, golden_kubeconfig: Path) -> None:
    with closing(Server(str(golden_kubeconfig))) as server:
        wrong = {name: differences[:4] for name, differences in replay(server, topic) if differences}
    assert not wrong, "\n".join(f"{name}\n    " + "\n    ".join(lines) for name, lines in wrong.items())


@pytest.mark.parametrize("topic", topics())
def test_every_listed_difference_names_a_record_and_a_reason(topic: str) -> None:
    names = [record["name"] for record in records_of(topic)]
    assert len(names) == len(set(names))
    for name, entry in known_differences(topic).items():
        assert name in names
        assert entry["reason"]
        assert entry["loose"]
