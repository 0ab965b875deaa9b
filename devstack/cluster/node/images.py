"""Image names as a container runtime reads them."""

from __future__ import annotations

import fnmatch
import hashlib
import re
from dataclasses import dataclass

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_DOMAIN = r"(?:localhost|[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9-]+)*(?::[0-9]+)?)"
_NAME = re.compile(rf"^{_COMPONENT}(?:/{_COMPONENT})*$")
_TAG = re.compile(r"^[\w][\w.-]{0,127}$", re.ASCII)
_DIGEST = re.compile(r"^[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[0-9a-fA-F]{32,}$")
MAX_NAME = 255


class InvalidImageNameError(ValueError):
    """The text is no image name; the message is the one a container runtime gives."""


@dataclass(frozen=True)
class ImageName:
    """`repository` with its registry ("docker.io/library/busybox"), `tag` and `digest` (either may be empty)."""

    repository: str
    tag: str
    digest: str

    @property
    def reference(self) -> str:
        """The full name: repository and digest, else tag."""
        return f"{self.repository}@{self.digest}" if self.digest else f"{self.repository}:{self.tag}"

    @property
    def image_id(self) -> str:
        """A stable stand-in for the digest the registry would name."""
        return f"{self.repository}@{self.digest or 'sha256:' + hashlib.sha256(self.reference.encode()).hexdigest()}"

    def is_missing(self, pattern: str) -> bool:
        """Whether the registry has no such image: its tag fits `pattern`."""
        return bool(self.tag) and fnmatch.fnmatchcase(self.tag, pattern)


def parse_image(text: str) -> ImageName:
    """Normalise an image name ("busybox" is docker.io/library/busybox:latest). Raises InvalidImageNameError."""
    rest, _, digest = text.partition("@")
    if digest and not _DIGEST.match(digest):
        raise InvalidImageNameError(_failure(text, "invalid reference format"))
    head, colon, tag = rest.rpartition(":")
    if not colon or "/" in tag:
        head, tag = rest, ""  # the colon, if any, belongs to the registry's port
    elif not _TAG.match(tag):
        raise InvalidImageNameError(_failure(text, "invalid reference format"))
    domain, slash, path = head.partition("/")
    if not slash or not ("." in domain or ":" in domain or domain == "localhost" or domain.lower() != domain):
        domain, path = "docker.io", head
    if not re.match(rf"^{_DOMAIN}$", domain):
        raise InvalidImageNameError(_failure(text, "invalid reference format"))
    if path.lower() != path:
        raise InvalidImageNameError(
            _failure(text, f"invalid reference format: repository name ({path.partition(':')[0]}) must be lowercase")
        )
    if not _NAME.match(path) or len(path) > MAX_NAME:
        raise InvalidImageNameError(_failure(text, "invalid reference format"))
    if domain == "docker.io" and "/" not in path:
        path = f"library/{path}"
    return ImageName(f"{domain}/{path}", tag or ("" if digest else "latest"), digest)


def _failure(text: str, why: str) -> str:
    return f'Failed to apply default image tag "{text}": couldn\'t parse image name "{text}": {why}'
