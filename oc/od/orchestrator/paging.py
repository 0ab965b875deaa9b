"""Lists of pods, page by page: a list of ten thousand is 350 MB of text at once."""

from __future__ import annotations

from collections.abc import Iterator

from oc.model.deadline import Deadline
from oc.od.orchestrator.client import PAGE_SIZE, KubernetesClient
from oc.od.orchestrator.podmodel import POD_LIST, Pod
from oc.od.orchestrator.resources import PODS


def each_pod(
    client: KubernetesClient, selector: str, *, field_selector: str = "", deadline: Deadline | None = None
) -> Iterator[Pod]:
    """The pods a selector finds, by name. Raises KubernetesError, also between two of them."""
    token = ""
    while True:
        page = client.page(
            PODS, selector, POD_LIST, field_selector=field_selector, limit=PAGE_SIZE, continue_=token, deadline=deadline
        )
        yield from page.items
        token = page.metadata.continue_
        if not token:
            return
