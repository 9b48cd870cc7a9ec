"""Stages as Python or YAML values instead of words.

A record is one of these:

    "limit --session 1000"                   the words of one stage, as on the command line
    {"limit": {"session": 1000}}             a stage and its options, by name
    {"grep": "ipv6"}                         a stage and its argument, or a list of arguments
    {"write": {"arguments": "a.json.gz", "every": "15m", "name": "@log"}}
                                             its argument beside options, and a name
    ("grep", {"arguments": "ipv6"})          the same as a pair, where the first may also be one of the next three
    check                                    a function: it is called with each message, as `update` of `py` is
    messages                                 an iterable of messages, or a function that makes one (also async)
    Every                                    a class of bgpipe.stage
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Iterable, Mapping, Sequence
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Final

from ..pipeline.errors import PipelineError, UsageError
from ..pipeline.stage import Stage
from .grammar import new_stage, read_stage, split
from .spec import PipelineSpec

if TYPE_CHECKING:
    from ..wire.item import Item
    from ..wire.message import Message

Maker = Callable[[], "Iterable[Item] | AsyncIterable[Item]"]
What = str | Callable[["Message"], object] | Maker | Iterable["Item"] | AsyncIterable["Item"] | type[Stage]
StageRecord = What | Mapping[str, object] | tuple[What, Mapping[str, object]]

ARGUMENTS: Final = "arguments"
NAME: Final = "name"


def read_records(records: Sequence[StageRecord]) -> PipelineSpec:
    """Raises UsageError, ConfigError."""
    spec = PipelineSpec()
    if isinstance(records, str | Mapping) or not isinstance(records, Sequence):
        raise UsageError(f"stages: a list of stages is expected, not {records!r}")
    for index, record in enumerate(records, 1):
        spec.stages.append(_read(record, index))
    return spec


def _read(record: StageRecord, index: int) -> Stage:
    if isinstance(record, str):
        return _from_text(record, index)
    what: Any = record
    settings: object = None
    if isinstance(record, Mapping):
        if len(record) != 1:
            text = f"a stage is written as {{NAME: OPTIONS}}, with one name, not {dict(record)!r}"
            raise UsageError(f"[{index}]: {text}", stage=index)
        ((what, settings),) = record.items()
    elif isinstance(record, tuple):
        if len(record) != 2:
            raise UsageError(f"[{index}]: a pair of stage and options is expected, not {record!r}", stage=index)
        what, settings = record
    stage = _new(what, index)
    try:
        _set(stage, settings)
        if stage.needs_argument and not any(stage.arguments[:1]):
            empty = ", not an empty text" if stage.arguments else ""
            raise UsageError(f"needs an argument: {stage.argument}{empty}")
        if stage.arguments and not (stage.needs_argument or stage.take_all):
            raise UsageError(f"takes no argument, and {stage.arguments[0]!r} is given")
    except PipelineError as error:
        raise error.inside(stage, index) from None
    return stage


def _from_text(text: str, index: int) -> Stage:
    try:
        words = split(text)
    except UsageError as error:
        raise error.inside(f"[{index}]", index) from None
    if not words:
        raise UsageError(f"[{index}]: a stage without words", stage=index)
    stage, rest = read_stage(words, index, {})
    if stage.help:
        raise UsageError("--help is for the command line").inside(stage, index)
    if rest:
        text = f"takes no more words, and {rest[0]!r} follows: give each stage by itself"
        raise UsageError(text).inside(stage, index)
    return stage


def _new(what: Any, index: int) -> Stage:
    """A stage of a name, a class, a function or of messages."""
    if isinstance(what, str):
        try:
            return new_stage(what, index)
        except PipelineError as error:
            raise error.inside(f"[{index}]", index) from None
    if isinstance(what, type) and issubclass(what, Stage):
        stage = what(what.__name__.lower())
    else:
        from ..stages.base.function import is_source, make_function, make_source

        if is_source(what):
            stage = make_source(what)
        elif iscoroutinefunction(what):
            text = "a coroutine function can't decide about messages: nothing may wait on their way"
            raise UsageError(f"[{index}] {what.__name__}: {text}", stage=index)
        elif callable(what):
            stage = make_function(what)
        else:
            raise UsageError(f"[{index}]: {what!r} is no stage", stage=index)
    stage.index = index
    return stage


def _set(stage: Stage, settings: object) -> None:
    """Gives a stage the options and arguments of its record. Raises UsageError."""
    if not isinstance(settings, Mapping):
        settings = {} if settings is None else {ARGUMENTS: settings}
    for key, value in settings.items():
        if key == ARGUMENTS:
            stage.arguments = [str(each) for each in (value if isinstance(value, list | tuple) else (value,))]
        elif key == NAME and "name" not in stage.declared():
            stage.name = f"@{str(value).removeprefix('@')}"
        else:
            stage.set(str(key), value)
            stage.words += _as_words(str(key), value)
    stage.words += stage.arguments


def _as_words(key: str, value: object) -> list[str]:
    """An option as it is written on the command line."""
    name = f"--{key.rstrip('_').replace('_', '-')}"
    if isinstance(value, bool):
        return [name] if value else []
    return [f"{name}={each}" for each in (value if isinstance(value, list | tuple) else (value,))]
