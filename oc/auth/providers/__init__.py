"""The ways to prove who one is. A provider belongs to a manager and is made from its dict in the configuration.

``PROVIDER_MAKERS`` says which class serves which manager: a new kind of login registers there and needs no change
anywhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from oc.auth.providers.base import Account, Attempt, Provider, ProviderContext, ProviderError, View
from oc.auth.providers.explicit import make_explicit
from oc.auth.providers.external import make_external
from oc.auth.providers.lookup import make_implicit
from oc.auth.providers.metaexplicit import make_metaexplicit

ProviderMaker = Callable[[str, Mapping[str, Any], ProviderContext], Provider]
"""Makes a provider from its name and dict; raises ProviderError when the dict cannot be used."""

PROVIDER_MAKERS: Final[Mapping[str, ProviderMaker]] = {
    "external": make_external,
    "explicit": make_explicit,
    "metaexplicit": make_metaexplicit,
    "implicit": make_implicit,
}

__all__ = [
    "PROVIDER_MAKERS",
    "Account",
    "Attempt",
    "Provider",
    "ProviderContext",
    "ProviderError",
    "ProviderMaker",
    "View",
]
