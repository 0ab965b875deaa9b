"""Pure builders of every Kubernetes object pyos creates (spec orchestration.md 2 to 5, 7).

Same input, same dict: no I/O, no clock, no randomness, settings are never mutated. Signatures::

    posix.resolve_account(settings, posixaccount, localaccount) -> PosixAccount   # secret data or None
    posix.home_directory(settings, posix) -> str
    executeclass.select(settings, labels, wanted=None) -> (ExecuteClass, warnings)
    network.network_rules(settings, labels, overlay=None) -> NetworkRules
    volumes.home_volume(settings, identity, posix, *, claim_name=None, uuid="") -> HomeVolume
    volumes.home_claim(settings, identity, posix, *, uuid, locale) -> HomeClaim
    secrets.login_secrets(settings, login) -> list[SecretDraft]
    secrets.vnc_secret(settings, identity, password) -> SecretDraft
    secrets.decode_secret(obj) -> dict[str, bytes];  secrets.secret_ref(obj) -> SecretRef | None
    desktop.desktop_pod(settings, identity, client, posix, draw, secrets, home, network, *, ...) -> Built
    applications.desktop_facts(pod) -> DesktopFacts
    applications.ephemeral_container(settings, identity, client, posix, app, request, desktop, draw, secrets, home)
    applications.ephemeral_patch(container) -> dict
    applications.application_pod(... same as ephemeral_container ..., network) -> Built
    selectors.*: label selectors and ownership
"""
