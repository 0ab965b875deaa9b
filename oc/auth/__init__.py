"""Who is it, and what may it do: providers, rules and labels, tokens, POSIX accounts."""

from oc.auth.keys import KeyFileError
from oc.auth.requests import LoginRequest
from oc.auth.service import AuthService, success_message
from oc.auth.tokens import DesktopTokens, TokenExpiredError, TokenInvalidError, UserTokens

__all__ = [
    "AuthService",
    "DesktopTokens",
    "KeyFileError",
    "LoginRequest",
    "TokenExpiredError",
    "TokenInvalidError",
    "UserTokens",
    "success_message",
]
