"""Finding controllers (http-api.md 2.2): ``FooController`` in ``controllers/foo_controller.py`` -> ``/API/foo``."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from types import ModuleType

from oc.od.base_controller import BaseController

_MODULE = re.compile(r"\w+_controller")
_CLASS = re.compile(r"(\w+)Controller")


def discover(package: ModuleType) -> Iterator[tuple[str, type[BaseController]]]:
    """URL segment and class of each controller of ``package``.

    Only classes defined in the module itself count, so an imported base class is not mounted. A module that cannot be
    imported fails the boot: a service without one of its parts must not look healthy.
    """
    for info in sorted(pkgutil.iter_modules(package.__path__), key=lambda info: info.name):
        if not _MODULE.fullmatch(info.name):
            continue
        module = importlib.import_module(f"{package.__name__}.{info.name}")
        for name, member in sorted(vars(module).items()):
            found = _CLASS.fullmatch(name)
            if found and inspect.isclass(member) and member.__module__ == module.__name__:
                if not issubclass(member, BaseController):
                    raise TypeError(f"{module.__name__}.{name} must extend BaseController")
                yield found.group(1).lower(), member
