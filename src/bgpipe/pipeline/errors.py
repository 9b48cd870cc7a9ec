"""What can be wrong with a pipeline, told in one line to the person who wrote it."""

from __future__ import annotations

from collections.abc import Iterable


class UsageError(ValueError):
    """Words that can't be read: an unknown option, a bad value (exit code 2). option: the name of an unknown one."""

    def __init__(self, text: str, *, option: str = "") -> None:
        super().__init__(text)
        self.option = option


class ConfigError(ValueError):
    """Words that can be read but make no pipeline (exit code 1)."""


class ArgumentError(UsageError, ConfigError):
    """The argument of a stage that can't be read (exit code 2)."""


class StageError(Exception):
    """A stage that can't go on (exit code 1).

    reason: in one word, for counting. side: "L" or "R" of the peer that it is about, "" for none.
    """

    def __init__(self, text: str = "", *, reason: str = "error", side: str = "") -> None:
        super().__init__(text)
        self.reason = reason
        self.side = side


class DamagedInput(StageError):
    """All of an input was read, and pieces of it could not be: what was made of the rest is complete."""


class SessionLost(StageError):
    """The session is over, whoever ended it: the stage can't go on, but another session may go better."""


def nearest(word: str, known: Iterable[str], prefix: str = "") -> str:
    """`, did you mean X?` for the known word most like `word`, "" if none is near."""
    from difflib import get_close_matches

    by_lower = {each.lower(): each for each in known}
    close = get_close_matches(word.lower(), list(by_lower), n=1)
    return f", did you mean {prefix}{by_lower[close[0]]}?" if close else ""
