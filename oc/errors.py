"""Domain errors: one class a kind of failure, each with the HTTP status and the message a client may see.

The request edge (oc.web.errors) turns them into JSON in one place. ``message`` is shown to users: it never holds a
secret, a stack trace or an upstream response body. ``doing`` says for the log what was being done.
"""

from __future__ import annotations


class ODError(Exception):
    """A failure with an HTTP ``status`` (400..599) and a ``message`` for the user."""

    status = 500
    default_message = "Internal api server error"

    def __init__(self, message: str | None = None, *, status: int | None = None, doing: str = "") -> None:
        self.message = message or self.default_message
        if status is not None:
            self.status = status
        self.doing = doing
        super().__init__(self.message)


class ODAPIError(ODError):
    """The Kubernetes API refused or failed; ``status`` is its own when it is in 400..599."""

    default_message = "the Kubernetes API refused the request"


class BadRequestError(ODError):
    """A parameter is missing, malformed or out of bounds."""

    status = 400
    default_message = "invalid parameters"


class AccessDeniedError(ODError):
    """A controller policy refuses the call; ``message`` starts with the 403.x code."""

    status = 403
    default_message = "403.1 - Execute access forbidden"


class ODResourceNotFoundError(ODError):
    """The desktop, pod, container, application or key does not exist for this caller."""

    status = 404
    default_message = "not found"


class ConflictError(ODError):
    """Somebody else changed or created the object first."""

    status = 409
    default_message = "conflict"


class UnavailableError(ODError):
    """A service this call needs (MongoDB, memcached, Kubernetes, the launch lane) is away or full.

    ``retry_after`` is in seconds and becomes the ``Retry-After`` header.
    """

    status = 503
    default_message = "service unavailable"

    def __init__(self, message: str | None = None, *, retry_after: int | None = None, doing: str = "") -> None:
        super().__init__(message, doing=doing)
        self.retry_after = retry_after


class DeadlineExceededError(ODError):
    """The time given to an operation is over."""

    status = 504
    default_message = "the operation took too long"


class AuthenticationError(ODError):
    """The caller is not who it says, or says nothing. Always 401."""

    status = 401
    default_message = "authentication failed"


class InvalidCredentialsError(AuthenticationError):
    """A password, code or token was refused. Counts for fail2ban."""

    default_message = "invalidCredentials"


class AuthenticationFailureError(AuthenticationError):
    """The provider could not decide (unreachable directory, broken answer)."""


class ExternalAuthError(AuthenticationError):
    """The OAuth 2.0 exchange failed."""


class ExternalAuthLoginError(ExternalAuthError):
    """The authorization server refused the login."""


class ExternalAuthUserError(ExternalAuthError):
    """The userinfo answer names no usable user."""


class AuthenticationDeniedError(AuthenticationError):
    """Authenticated, but an ACL denies."""

    default_message = "Access is denied by security policy"


class BanAuthUserError(AuthenticationError):
    """The login is banned."""

    default_message = "user is banned"


class BanAuthIPError(AuthenticationError):
    """The address is banned."""

    default_message = "ip address is banned"
