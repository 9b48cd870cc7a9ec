"""What is asked for, read once: the options of the whole pipeline, and its stages with theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..runtime.options import GlobalOptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..pipeline.events import Event
    from ..pipeline.stage import Stage


class PipelineSpec:
    """Each pipeline that is made of it gets copies of its stages.

    stages: in the order given. observers: stages that see what all others have let pass. on_event: is told of the
    events that --events names, in place of the log. help: the name of what help is wanted of, "" for the program,
    None for no help. question: the words behind `rpki`, None without that command.
    """

    def __init__(self) -> None:
        self.options = GlobalOptions()
        self.stages: list[Stage] = []
        self.observers: list[Stage] = []
        self.on_event: Callable[[Event], object] | None = None
        self.help: str | None = None
        self.question: list[str] | None = None
