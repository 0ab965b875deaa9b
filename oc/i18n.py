"""Which locale a browser gets (services.md 9.4). Pure."""

from __future__ import annotations

from collections.abc import Sequence

DEFAULT_LOCALE = "en_US"
_MAX_HEADER = 1024


def negotiate_locale(accept_language: str | None, supported: Sequence[str]) -> str:
    """The best of ``supported`` (``xx_YY``) for an ``Accept-Language`` header (RFC 9110 12.5.4); else ``en_US``.

    ``q=0`` excludes; plain ``en`` gives ``en_US`` and ``*`` gives ``en_US`` where supported.
    """
    wanted = _parse((accept_language or "")[:_MAX_HEADER])
    refused = {tag for tag, quality in wanted if quality <= 0}
    candidates = [locale for locale in supported if not _is_refused(locale, refused)]
    for tag, quality in wanted:
        found = _best(tag, candidates) if quality > 0 else None
        if found is not None:
            return found
    return DEFAULT_LOCALE


def _parse(header: str) -> list[tuple[str, float]]:
    entries: list[tuple[str, float]] = []
    for part in header.split(","):
        tag, _, parameters = part.strip().partition(";")
        quality = _quality(parameters)
        if tag.strip() and quality is not None:
            entries.append((tag.strip().replace("-", "_").lower(), quality))
    return sorted(entries, key=lambda entry: -entry[1])


def _quality(parameters: str) -> float | None:
    name, _, value = parameters.partition("=")
    if name.strip().lower() != "q":
        return 1.0
    try:
        quality = float(value)
    except ValueError:
        return None
    return quality if 0 <= quality <= 1 else None


def _is_refused(locale: str, refused: set[str]) -> bool:
    low = locale.lower()
    return low in refused or low.partition("_")[0] in refused


def _best(tag: str, candidates: Sequence[str]) -> str | None:
    if tag == "*":
        return DEFAULT_LOCALE if DEFAULT_LOCALE in candidates else next(iter(candidates), None)
    by_name = {locale.lower(): locale for locale in candidates}
    language = tag.partition("_")[0]
    for name in (tag, f"{language}_{language}", DEFAULT_LOCALE.lower() if language == "en" else ""):
        if name in by_name:
            return by_name[name]
    return next((locale for name, locale in by_name.items() if name.partition("_")[0] == language), None)
