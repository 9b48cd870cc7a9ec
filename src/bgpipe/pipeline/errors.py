"""Errors of command lines, pipelines and stages; each text is one line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self


class PipelineError(ValueError):
    """A command line, or stages, of which no pipeline can be made.

    stage: the number of the stage that is wrong, from 1, and 0 for the options of the whole pipeline. option: its name,
    "" where it is not about one.
    """

    exit_code = 2

    def __init__(self, text: str, *, option: str = "", stage: int = 0) -> None:
        super().__init__(text)
        self.option = option
        self.stage = stage

    def inside(self, stage: object, index: int) -> Self:
        """The same error, with the stage in which it was found."""
        return type(self)(f"{stage}: {self}", option=self.option, stage=index)


class UsageError(PipelineError):
    """A wrong command line: an unknown option, or an invalid value (exit code 2)."""


class ConfigError(PipelineError):
    """Stages and options that don't fit together, a filter or a policy that can't be read (exit code 2)."""


class ArgumentError(UsageError, ConfigError):
    """The argument of a stage that can't be read (exit code 2)."""


class MissingInputError(ConfigError):
    """The file that a bare word of the command line names is not there (exit code 1)."""

    exit_code = 1


class StageError(Exception):
    """A stage has failed (exit code 1).

    reason: one word, for the metrics. side: "L" or "R", the side of the peer that is concerned; "" for none.
    """

    exit_code = 1

    def __init__(self, text: str = "", *, reason: str = "error", side: str = "") -> None:
        super().__init__(text)
        self.reason = reason
        self.side = side


class Incomplete(StageError):
    """Some messages could not be read, written or sent: all others have arrived. It ends nothing, and counts at the end
    (exit code 1)."""


class Stopped(Exception):
    """The session or the process is ending, so nothing new can be started. It is not an error, and is not reported."""


class SessionLost(StageError):
    """The session has ended, by either side. The stage can't go on in this session, but another one may follow.

    refuse_for: seconds for which the peer is refused, and not called, after this.
    """

    def __init__(self, text: str = "", *, reason: str = "error", side: str = "", refuse_for: float = 0.0) -> None:
        super().__init__(text, reason=reason, side=side)
        self.refuse_for = refuse_for


def failure(stage: object, error: Exception) -> StageError:
    """The StageError for an exception in code of a stage. Its text names the stage."""
    if isinstance(error, StageError):
        return error
    failed = StageError(f"{stage}: {type(error).__name__}: {error}")
    failed.__cause__ = error
    return failed


def nearest(word: str, known: Iterable[str], prefix: str = "") -> str:
    """`, did you mean X?` for the known word most like `word`, "" if none is near."""
    from difflib import get_close_matches

    by_lower = {each.lower(): each for each in known}
    close = get_close_matches(word.lower(), list(by_lower), n=1)
    return f", did you mean {prefix}{by_lower[close[0]]}?" if close else ""
