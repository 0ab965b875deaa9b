"""What pods of one cluster share on their nodes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from devstack.cluster.node.addresses import AddressPool
from devstack.cluster.node.cgroups import CgroupMaker
from devstack.cluster.node.events import EventRecorder
from devstack.cluster.node.options import NodeOptions
from devstack.cluster.node.volumes import Volumes
from devstack.cluster.runtime import BehaviourSource
from devstack.cluster.store import Store


@dataclass
class Host:
    """Shared parts; `pulled` holds (node, image reference) of images already there, `live` the exits of
    all processes that run."""

    store: Store
    options: NodeOptions
    events: EventRecorder
    behaviours: BehaviourSource
    volumes: Volumes
    addresses: AddressPool
    directory: Path
    cgroups: CgroupMaker
    pulled: set[tuple[str, str]] = field(default_factory=set)
    live: set[asyncio.Future[int]] = field(default_factory=set)
