"""Reading the configuration again while the process serves (SIGHUP).

Only what is looked up at each use can change safely: the log, and what pages are told (``front.*``). Everything else is
built into long-lived objects at the start and waits for the next one; changes of it are named in the log.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from oc.logging import configure_logging
from oc.od.settings import ConfigurationError, Settings, load_settings

if TYPE_CHECKING:
    from oc.od.services import ODServices

logger = logging.getLogger(__name__)

APPLIED: Final = ("logging_settings", "front")
"""Parts of the settings that take effect at once."""

_NO_PARTS: Final = ("warnings", "base")


class Reloader:
    """``load``: reads and checks the file; raises ConfigurationError. Thread-safe; one reload at a time."""

    def __init__(self, services: ODServices, load: Callable[[], Settings] = load_settings) -> None:
        self._services = services
        self._load = load
        self._lock = threading.Lock()

    def request(self) -> None:
        """Reload in the background; safe in a signal handler."""
        threading.Thread(target=self.reload, name="reload", daemon=True).start()

    def reload(self) -> bool:
        """Read the file; what it says now is in force when True. An unusable file changes nothing."""
        with self._lock:
            try:
                new = self._load()
            except ConfigurationError as error:
                logger.error("the configuration cannot be used, the old one stays in force:\n%s", error)
                return False
            old = self._services.settings
            changed = _differing(old, new)
            applied = {name: getattr(new, name) for name in APPLIED if name in changed}
            if "logging_settings" in applied and not configure_logging(new.logging) and new.logging is not None:
                configure_logging(old.logging)
                logger.error("the new logging configuration cannot be applied, the old one stays in force")
                del applied["logging_settings"]
            self._services.settings = dataclasses.replace(old, **applied)
            for warning in new.warnings:
                logger.warning("%s", warning)
            waiting = sorted(set(changed) - set(APPLIED))
            if waiting:
                logger.warning("changes of these parts take effect at the next start: %s", ", ".join(waiting))
            logger.warning("configuration read again, applied: %s", ", ".join(sorted(applied)) or "no change")
            return True


def _differing(old: Settings, new: Settings) -> list[str]:
    """Names of the parts that are not the same in both."""
    if _has_random_password(old) and _has_random_password(new):
        account = dataclasses.replace(new.desktop.account, userpasswd=old.desktop.account.userpasswd)
        new = dataclasses.replace(new, desktop=dataclasses.replace(new.desktop, account=account))
    names = (field.name for field in dataclasses.fields(Settings) if field.name not in _NO_PARTS)
    return [name for name in names if getattr(new, name) != getattr(old, name)]


def _has_random_password(settings: Settings) -> bool:
    """Whether the password of accounts was made up, as loading tells in a warning: it differs at each loading."""
    return any(problem.key == "desktop.userpasswd" for problem in settings.warnings)
