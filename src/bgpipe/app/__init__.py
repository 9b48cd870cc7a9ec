"""Makes pipelines from words or records, and runs them from Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .records import StageRecord
    from .spec import PipelineSpec


def compose(
    words: str | Sequence[str | PathLike[str]] = (),
    *,
    stages: Sequence[StageRecord] | None = None,
    options: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
) -> PipelineSpec:
    """What a command line says, or what records say; app.build makes pipelines of it, as many as are wanted.

    words: a command line without the program's name; a text is split as a shell does. stages: a record for each stage
    in place of words; app.records says which forms it may have. options: those before the first stage, by name, beside
    either. environment: variables that set options, such as BGPIPE_READ_FORMAT.

    Raises UsageError and ConfigError, which have the number of the stage and the name of the option.
    """
    if stages is not None:
        from ..pipeline.errors import UsageError
        from .records import read_records

        if words:
            raise UsageError("say the stages in words or as records, not both")
        spec = read_records(stages)
    else:
        from .grammar import parse, split

        spec = parse(split(words) if isinstance(words, str) else list(map(str, words)), environment)
    for name, value in (options or {}).items():
        spec.options.set(name, value)
    return spec
