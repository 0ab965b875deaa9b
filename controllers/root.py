"""``/API`` itself: liveness and version."""

from __future__ import annotations

from pathlib import Path

import msgspec

from oc.od.base_controller import BaseController
from oc.web import Call, Content, expose

UNDEFINED = {"date": "undefined", "commit": "undefined", "version": "undefined"}
BLANK = {"date": None, "commit": None, "version": None}
VERSION_FILE = "version.json"


def read_version(path: Path) -> dict[str, object]:
    """The build's ``{"date", "commit", "version"}``; the same keys with ``undefined`` when the file is unusable."""
    try:
        document = msgspec.json.decode(path.read_bytes(), type=dict[str, object])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return dict(UNDEFINED)
    return {key: document.get(key, "undefined") for key in UNDEFINED}


class Root(BaseController):
    """Routes directly below ``/API``. Open, and touching no service."""

    def __init__(self, version_file: Path = Path(VERSION_FILE)) -> None:
        super().__init__(None)
        self.build = read_version(version_file)

    @expose(methods=("GET", "POST"), trace=False)
    def healthz(self, call: Call) -> Content:
        """Liveness: OK as long as the process serves requests."""
        return Content("OK", content_type="text/html;charset=utf-8")

    @expose(methods=("GET", "POST"), envelope=False)
    def version(self, call: Call) -> object:
        """Date, commit and number of the build."""
        return self.build if self.settings.http.version_public else BLANK
