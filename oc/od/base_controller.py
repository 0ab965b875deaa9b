"""What every controller has; see oc.web for how to write one."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from oc.od.settings.controllers import ControllerPolicy

if TYPE_CHECKING:
    from oc.od.services import ODServices
    from oc.od.settings import Settings


class LaneLoad(Protocol):
    """How full a lane for long requests is."""

    @property
    def size(self) -> int: ...
    @property
    def queue(self) -> int: ...
    @property
    def load(self) -> tuple[int, int]: ...


class ApiRoot(Protocol):
    """The API that a controller is mounted in."""

    @property
    def lanes(self) -> Mapping[str, LaneLoad]: ...
    def openapi(self) -> Mapping[str, object]: ...
    def require_operator(self, address: str, key: str | None) -> None: ...


class BaseController:
    """policy: the controller's entry of the configuration key ``controllers``, or None when it has none.

    services: the container of long-lived objects; root: the API itself. The application sets
    both when it mounts the controller.
    """

    services: ODServices
    root: ApiRoot

    def __init__(self, policy: ControllerPolicy | None = None) -> None:
        self.policy = policy
        self.logger = logging.getLogger(f"controllers.{type(self).__name__}")

    @property
    def settings(self) -> Settings:
        """The configuration of the process."""
        return self.services.settings
