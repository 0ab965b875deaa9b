"""Commands of the operator: ``od.py --check-backends`` and ``od.py --generate-keys``."""

from oc.od.commands.backends import check_backends
from oc.od.commands.keys import generate_keys

__all__ = ["check_backends", "generate_keys"]
