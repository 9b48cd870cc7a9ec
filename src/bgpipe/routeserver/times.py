"""Times as people and JSON write them (ISO 8601), and as we have them: seconds since 1970 (UTC)."""

from __future__ import annotations

from datetime import UTC, datetime


def parse_time(text: str) -> float:
    """Seconds since 1970 of an ISO 8601 time; UTC if it does not say. Raises ValueError."""
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()


def iso(time: float | None) -> str | None:
    """A time in seconds since 1970 as ISO 8601 has it, in UTC."""
    if time is None:
        return None
    return datetime.fromtimestamp(time, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
