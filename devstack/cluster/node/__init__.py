"""The simulated nodes of the development cluster: scheduler, kubelet, and the controllers a cluster needs to live.

A container's process is real only where the options say so (see options.py); real ones run in Linux namespaces of
their own where the machine allows them: own root (a private writable view of the host's), own processes, volumes at
their mount paths. This keeps commands apart from the host; it is not a security boundary against hostile ones.
"""

from __future__ import annotations

from devstack.cluster.node.assembly import Node, start_node
from devstack.cluster.node.options import NodeOptions, desktop_exec_answers, parse_options, realistic_options

__all__ = ["Node", "NodeOptions", "desktop_exec_answers", "parse_options", "realistic_options", "start_node"]
