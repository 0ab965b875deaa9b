"""What can go wrong between pyos and the Kubernetes API, as types."""

from __future__ import annotations

from oc.errors import AuthenticationError, ODAPIError, ODError


class KubernetesError(ODAPIError):
    """One call to the API failed.

    code: HTTP status of the API, 0 when no answer came. reason: ``reason`` of the Status body, or our own word.
    api_message: ``message`` of the Status body, for logs and for the places where the specification shows it.
    maybe_done: the call may have taken effect although no good answer came (time-out, lost connection, 5xx).
    retry_after: seconds the API asked to wait, or None.

    ``status``, what pyos itself answers, is 503 when the API is away or overloaded, else 500: the rights of pyos's
    service account are nobody else's business.
    """

    def __init__(
        self,
        code: int,
        reason: str,
        api_message: str,
        *,
        doing: str,
        maybe_done: bool = False,
        retry_after: float | None = None,
        causes: tuple[str, ...] = (),
    ) -> None:
        super().__init__(status=503 if code in (0, 429, 503) else 500, doing=doing)
        self.code = code
        self.reason = reason
        self.api_message = api_message
        self.maybe_done = maybe_done
        self.retry_after = retry_after
        self.causes = causes

    def __str__(self) -> str:
        return f"{self.doing}: {self.code or 'no answer'} {self.reason}: {self.api_message[:500]}"


class ExecError(ODAPIError):
    """A command could not be run in a container, or gave no exit status in time."""

    default_message = "a command could not be run in the desktop"


class CommandNotStartedError(ExecError):
    """The container has no such command, or could not start it."""


class LaunchFailedError(ODError):
    """No desktop could be given; ``message`` is for the user and holds nothing internal."""

    default_message = "the desktop could not be started"


class NotOwnerError(AuthenticationError):
    """The object asked for belongs to somebody else. Counts for fail2ban."""

    default_message = "Access is denied by security policy"
