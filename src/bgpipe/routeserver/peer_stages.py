"""The stages that `Stages` of the configuration puts into the session of each peer, next to its connection."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from ..app.records import read_records
from ..pipeline.errors import PipelineError
from ..pipeline.log import Log
from ..pipeline.measure import measure
from ..pipeline.metrics import Metrics
from ..pipeline.pipeline import Pipeline
from ..pipeline.shared import Shared
from ..pipeline.stage import Stage
from ..pipeline.wiring import attach
from ..stages import find

_PLACE: Final = re.compile(r"^\[\d+\] ?:? ?")
_ENDS: Final = ("bmp", "connect", "listen", "read", "speaker", "stdin", "stdout", "websocket")
"""Stages that are an end of a session or an input, and those that use the standard streams, which a service lacks."""


def read_stage(words: str) -> Stage:
    """A stage from its words, as on the command line of bgpipe. Raises ValueError."""
    try:
        (stage,) = read_records([words]).stages
    except PipelineError as error:
        raise ValueError(_PLACE.sub("", str(error))) from None
    if command := next((name for name in _ENDS if type(stage) is find(name)), ""):
        raise ValueError(f"{command}: a session with a peer has its two ends already, and no input beside them")
    if stage.uses_rpki:
        raise ValueError(f"{stage.name}: here VRPs are for lists (Rov); it has none for what peers announce")
    if stage.ends_input:
        raise ValueError(f"{stage.name}: a session with a peer would end with it")
    pipeline = Pipeline()
    pipeline.add(stage.duplicate(), index=2)
    try:
        attach(pipeline)
    except PipelineError as error:
        raise ValueError(_PLACE.sub("", str(error))) from None
    return stage


class PeerStages:
    """What the sessions of peers have of these stages. shared: outputs, and what else the sessions have together."""

    def __init__(self, words: Sequence[str]) -> None:
        self.shared = Shared(keep=True)
        self._ended = Metrics()
        self.configure(words)

    def configure(self, words: Sequence[str]) -> None:
        """Sessions that begin from now on have these stages. Raises ValueError."""
        self._stages = [read_stage(each) for each in words]

    def add(self, pipeline: Pipeline, index: int) -> int:
        """Adds the stages to a pipeline, the first with this number. Returns the number behind them."""
        pipeline.shared = self.shared
        for number, stage in enumerate(self._stages, index):
            pipeline.add(stage.duplicate(), index=number)
        return index + len(self._stages)

    def ended(self, pipeline: Pipeline) -> None:
        """Keeps what the stages of a session that is over have counted."""
        if self._stages:
            counted = Metrics()
            measure(pipeline, counted)
            self._ended.add_lasting(counted)

    def measure(self, pipelines: Sequence[Pipeline], metrics: Metrics) -> None:
        """Adds what the stages of all sessions have counted, as bgpipe does."""
        if self._stages:
            metrics.add_lasting(self._ended)
            for pipeline in pipelines:
                measure(pipeline, metrics)

    async def close(self, log: Log) -> None:
        """Closes outputs, when no session is there any more."""
        for name, close in self.shared.take_closers():
            try:
                await close()
            except Exception as error:
                log.error(f"{name}: {error}")
