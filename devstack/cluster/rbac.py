"""Who may do what: rules from roles and their bindings, and the check against granting more than one has."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from devstack.cluster.authentication import User
from devstack.cluster.errors import forbidden, not_found
from devstack.cluster.objects import Object
from devstack.cluster.requestinfo import RequestInfo
from devstack.cluster.store import Store

GROUP = "rbac.authorization.k8s.io"
_KINDS = ("roles", "rolebindings", "clusterroles", "clusterrolebindings")
MASTERS = "system:masters"


@dataclass(frozen=True)
class Attributes:
    """One thing a user wants to do; `path` for what is no resource."""

    verb: str
    namespace: str = ""
    group: str = ""
    resource: str = ""
    name: str = ""
    path: str = ""

    @classmethod
    def of(cls, info: RequestInfo) -> Attributes:
        if not info.is_resource:
            return cls(info.verb, path=info.path)
        return cls(info.verb, info.namespace, info.group, info.full_resource, info.name)


def _covers(patterns: Iterable[str] | None, value: str) -> bool:
    return any(pattern in ("*", value) for pattern in patterns or ())


def _covers_resource(patterns: Iterable[str] | None, resource: str) -> bool:
    subresource = resource.partition("/")[2]
    return any(
        pattern in ("*", resource) or (subresource and pattern == f"*/{subresource}") for pattern in patterns or ()
    )


def _covers_path(patterns: Iterable[str] | None, path: str) -> bool:
    return any(
        pattern in ("*", path) or (pattern.endswith("*") and path.startswith(pattern.rstrip("*")))
        for pattern in patterns or ()
    )


def rule_allows(rule: Object, wanted: Attributes) -> bool:
    """Whether one PolicyRule allows it."""
    if not _covers(rule.get("verbs"), wanted.verb):
        return False
    if wanted.path:
        return _covers_path(rule.get("nonResourceURLs"), wanted.path)
    names = rule.get("resourceNames")
    return (
        _covers(rule.get("apiGroups"), wanted.group)
        and _covers_resource(rule.get("resources"), wanted.resource)
        and (not names or wanted.name in names)
    )


@dataclass(frozen=True)
class Grant:
    """A rule a user has, and the words that say by which binding."""

    rule: Object
    reason: str


class Authorizer:
    """Decides from the store's objects; what it worked out is kept until one of them changes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._cache: dict[tuple[User, str], list[Grant]] = {}
        self._seen: tuple[int, ...] = ()

    def allows(self, user: User, wanted: Attributes) -> bool:
        return self.reason(user, wanted) is not None

    def reason(self, user: User, wanted: Attributes) -> str | None:
        """Why it is allowed; None when it is not."""
        if MASTERS in user.groups:
            return ""
        for grant in self.grants(user, wanted.namespace):
            if rule_allows(grant.rule, wanted):
                return grant.reason
        return None

    def check(self, user: User, info: RequestInfo) -> None:
        """Raises ApiError 403."""
        if not self.allows(user, Attributes.of(info)):
            raise denied(user, info)

    def grants(self, user: User, namespace: str) -> list[Grant]:
        """All rules of a user in a namespace ("": cluster-wide only)."""
        seen = tuple(self._store.table(kind).changed for kind in _KINDS)
        if seen != self._seen:
            self._seen = seen
            self._cache.clear()
        key = (user, namespace)
        found = self._cache.get(key)
        if found is None:
            found = self._cache[key] = self._find(user, namespace)
        return found

    def _find(self, user: User, namespace: str) -> list[Grant]:
        found: list[Grant] = []
        bindings = [("ClusterRoleBinding", "", b) for b in self._store.list("clusterrolebindings")]
        if namespace:
            bindings += [("RoleBinding", namespace, b) for b in self._store.list("rolebindings", namespace)]
        for kind, space, binding in bindings:
            subject = next((s for s in binding.get("subjects") or () if _is_subject(s, user, space)), None)
            if subject is None:
                continue
            reference = binding["roleRef"]
            label = binding["metadata"]["name"] + (f"/{space}" if space else "")
            reason = (
                f'RBAC: allowed by {kind} "{label}" of {reference["kind"]} "{reference["name"]}" to '
                f"{_describe_subject(subject, space)}"
            )
            found.extend(Grant(rule, reason) for rule in self.rules_of(reference, space) or ())
        return found

    def rules_of(self, reference: Object, namespace: str) -> list[Object] | None:
        """The rules behind a roleRef; None when the role does not exist."""
        if reference["kind"] == "Role":
            role = self._store.get("roles", namespace, reference["name"])
        else:
            role = self._store.get("clusterroles", None, reference["name"])
        return None if role is None else list(role.get("rules") or ())

    # -- escalation ----------------------------------------------------------------------------------------------
    def check_role(self, user: User, plural: str, namespace: str, obj: Object) -> None:
        """A role may hold only what its author has (or the author may `escalate`).  Raises ApiError 403."""
        name = obj["metadata"].get("name", "")
        if self.allows(user, Attributes("escalate", namespace, GROUP, plural, name)):
            return
        self._check_held(user, plural, namespace, name, obj.get("rules") or ())

    def check_binding(self, user: User, plural: str, namespace: str, obj: Object) -> None:
        """A binding may give only what its author has (or the author may `bind`).  Raises ApiError 403 or 404."""
        name, reference = obj["metadata"].get("name", ""), obj["roleRef"]
        if MASTERS in user.groups:
            return
        role_plural = "roles" if reference["kind"] == "Role" else "clusterroles"
        if self.allows(user, Attributes("bind", namespace, GROUP, role_plural, reference["name"])):
            return
        rules = self.rules_of(reference, namespace)
        if rules is None:
            raise not_found(plural, GROUP, reference["name"])
        self._check_held(user, plural, namespace, name, rules)

    def _check_held(self, user: User, plural: str, namespace: str, name: str, rules: Iterable[Object]) -> None:
        held = [grant.rule for grant in self.grants(user, namespace)]
        missing = [part for rule in rules for part in split_rule(rule) if not any(_contains(h, part) for h in held)]
        if not missing:
            return
        groups = " ".join(f'"{group}"' for group in user.groups)
        lines = "\n".join(_describe_rule(rule) for rule in missing)
        what = "is attempting to grant RBAC permissions not currently held"
        raise forbidden(plural, GROUP, name, f'user "{user.name}" (groups=[{groups}]) {what}:\n{lines}')


def _is_subject(subject: Object, user: User, namespace: str) -> bool:
    kind, name = subject.get("kind"), subject.get("name")
    if kind == "User":
        return name == user.name
    if kind == "Group":
        return name in user.groups
    return bool(kind == "ServiceAccount") and user.name == (
        f"system:serviceaccount:{subject.get('namespace') or namespace}:{name}"
    )


def _describe_subject(subject: Object, namespace: str) -> str:
    if subject["kind"] == "ServiceAccount":
        return f'ServiceAccount "{subject["name"]}/{subject.get("namespace") or namespace}"'
    return f'{subject["kind"]} "{subject["name"]}"'


def split_rule(rule: Object) -> list[Object]:
    """The rule as rules of one verb on one resource (or path) each."""
    names = {"resourceNames": rule["resourceNames"]} if rule.get("resourceNames") else {}
    parts: list[Object] = [
        {"apiGroups": [group], "resources": [resource], **names, "verbs": [verb]}
        for group in rule.get("apiGroups") or ()
        for resource in rule.get("resources") or ()
        for verb in rule.get("verbs") or ()
    ]
    parts += [
        {"nonResourceURLs": [path], "verbs": [verb]}
        for path in rule.get("nonResourceURLs") or ()
        for verb in rule.get("verbs") or ()
    ]
    return parts


def _contains(held: Object, part: Object) -> bool:
    if not _covers(held.get("verbs"), part["verbs"][0]):
        return False
    if "nonResourceURLs" in part:
        return _covers_path(held.get("nonResourceURLs"), part["nonResourceURLs"][0])
    names = held.get("resourceNames")
    return (
        _covers(held.get("apiGroups"), part["apiGroups"][0])
        and _covers_resource(held.get("resources"), part["resources"][0])
        and (not names or (bool(part.get("resourceNames")) and set(part["resourceNames"]) <= set(names)))
    )


def _describe_rule(rule: Object) -> str:
    titles = {
        "apiGroups": "APIGroups",
        "resources": "Resources",
        "resourceNames": "ResourceNames",
        "nonResourceURLs": "NonResourceURLs",
        "verbs": "Verbs",
    }
    parts = [f"{titles[key]}:[{' '.join(_quoted(v) for v in rule[key])}]" for key in titles if rule.get(key)]
    return "{" + ", ".join(parts) + "}"


def _quoted(text: str) -> str:
    return f'"{text}"'


def denied(user: User, info: RequestInfo) -> Exception:
    """The 403 of the authorizer."""
    if not info.is_resource:
        return forbidden("", "", "", f'User "{user.name}" cannot {info.verb} path "{info.path}"')
    where = f'in the namespace "{info.namespace}"' if info.namespace else "at the cluster scope"
    why = f'User "{user.name}" cannot {info.verb} resource "{info.full_resource}" in API group "{info.group}" {where}'
    return forbidden(info.resource, info.group, info.name, why)
