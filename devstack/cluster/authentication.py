"""Who sends a request: bearer tokens of fixed users and of service accounts."""

from __future__ import annotations

import datetime
import hmac
import uuid
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from devstack.cluster.errors import unauthorized
from devstack.cluster.objects import Clock, Object, utcnow
from devstack.cluster.store import Store

ISSUER = "https://kubernetes.default.svc.cluster.local"
_ALGORITHM = "ES256"
_TOKEN_LIMIT = 16 * 1024
_CREDENTIAL = "authentication.kubernetes.io/credential-id"


@dataclass(frozen=True)
class User:
    """An authenticated user, with all groups."""

    name: str
    groups: tuple[str, ...]
    uid: str = ""
    extra: dict[str, list[str]] = field(default_factory=dict, hash=False, compare=False)

    def describe(self) -> Object:
        """As UserInfo in reviews."""
        info: Object = {"username": self.name}
        if self.uid:
            info["uid"] = self.uid
        info["groups"] = list(self.groups)
        if self.extra:
            info["extra"] = self.extra
        return info


ANONYMOUS = User("system:anonymous", ("system:unauthenticated",))


def admin_user() -> User:
    return User("kubernetes-admin", ("system:masters", "system:authenticated"))


class Authenticator:
    """Checks and issues tokens; `fixed` maps a token to its user."""

    def __init__(self, store: Store, fixed: dict[str, User], *, clock: Clock = utcnow) -> None:
        self._store = store
        self._fixed = fixed
        self._clock = clock
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._public = self._key.public_key()
        self._known: dict[str, tuple[User, int, str, str]] = {}

    def authenticate(self, header: str | None) -> User:
        """The user of an Authorization header.  Raises ApiError 401."""
        if not header:
            return ANONYMOUS
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer":
            return ANONYMOUS
        user = self.user_of(token.strip())
        if user is None:
            raise unauthorized()
        return user

    def user_of(self, token: str) -> User | None:
        """The user of a token, or None when it is not good (any longer)."""
        if len(token) > _TOKEN_LIMIT:
            return None
        for known, user in self._fixed.items():
            if hmac.compare_digest(known.encode(), token.encode()):
                return user
        entry = self._known.get(token) or self._decode(token)
        if entry is None:
            return None
        user, expires, namespace, name = entry
        account = self._store.get("serviceaccounts", namespace, name)
        if account is None or account["metadata"]["uid"] != user.uid or self._clock().timestamp() >= expires:
            self._known.pop(token, None)
            return None
        if len(self._known) > 10_000:
            self._known.clear()
        self._known[token] = entry
        return user

    def _decode(self, token: str) -> tuple[User, int, str, str] | None:
        try:
            claims: dict[str, Any] = jwt.decode(
                token, self._public, algorithms=[_ALGORITHM], options={"verify_exp": False, "verify_aud": False}
            )
        except jwt.PyJWTError:
            return None
        bound = claims["kubernetes.io"]
        namespace, account = bound["namespace"], bound["serviceaccount"]
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")
        extra = {_CREDENTIAL: [f"JTI={claims['jti']}"]}
        if "pod" in bound:
            extra["authentication.kubernetes.io/pod-name"] = [bound["pod"]["name"]]
            extra["authentication.kubernetes.io/pod-uid"] = [bound["pod"]["uid"]]
        user = User(claims["sub"], groups, account["uid"], extra)
        return user, int(claims["exp"]), namespace, account["name"]

    def issue(
        self, namespace: str, name: str, audiences: list[str], seconds: int, pod: Object | None = None
    ) -> tuple[str, datetime.datetime]:
        """(token of a service account, when it expires).  Raises KeyError when there is no such account."""
        account = self._store.get("serviceaccounts", namespace, name)
        if account is None:
            raise KeyError(name)
        now = self._clock()
        expires = now + datetime.timedelta(seconds=seconds)
        bound: Object = {"namespace": namespace, "serviceaccount": {"name": name, "uid": account["metadata"]["uid"]}}
        if pod is not None:
            bound["pod"] = {"name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}
        claims = {
            "iss": ISSUER,
            "sub": f"system:serviceaccount:{namespace}:{name}",
            "aud": audiences or [ISSUER],
            "iat": int(now.timestamp()),
            "nbf": int(now.timestamp()),
            "exp": int(expires.timestamp()),
            "jti": str(uuid.uuid4()),
            "kubernetes.io": bound,
        }
        return jwt.encode(claims, self._key, algorithm=_ALGORITHM), expires
