"""Decides when a pipeline has ended: a pure function of what its stages are doing, without a clock and without a cause.

Three things are different. An input is *open* if it lets in more messages. It is *busy* while messages that it has let
in are still on their way. A stage has one of the states below. The run loop owns the deadlines: when one passes, it
cancels what is busy, which changes the records, and asks again.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Final, NamedTuple


class StageState(Enum):
    """The state of a stage in its life cycle."""

    WAITING = "waiting"
    """for an event that --wait names"""
    STARTING = "starting"
    """it is being prepared, together with the stages that the same event has started"""
    RUNNING = "running"
    DRAINING = "draining"
    """a transformer that gets no more messages, and gives its last ones"""
    STOPPING = "stopping"
    """its callbacks are off, and its inputs are shut; messages that it has let in go on"""
    ENDED = "ended"


class StageKind(Enum):
    """How a stage makes messages."""

    SOURCE = "source"
    """it makes messages, and keeps the pipeline going"""
    BACKGROUND = "background"
    """it makes messages, but does not keep the pipeline going: a speaker, and the peer that it speaks with"""
    TRANSFORMER = "transformer"
    """it makes messages from those that it gets: a program. If there is no source, it counts as one"""
    PASSIVE = "passive"
    """it makes none"""


class Cause(Enum):
    """Why the input was ended early."""

    END_INPUT = "stopped"
    """no more messages are wanted, as by `head`"""
    FAILED = "failed"
    """a stage, a program or a session has failed"""
    SIGNAL = "signal"


class Record(NamedTuple):
    """What a stage is doing at the moment."""

    kind: StageKind
    state: StageState
    open: bool
    busy: bool


class EndAction(Enum):
    WAIT = "wait"
    DRAIN = "drain"
    FINISH = "finish"


class EndStep(NamedTuple):
    """What to do next. place: the position of the stage to drain, in the list of records."""

    action: EndAction
    place: int = -1


WAIT: Final = EndStep(EndAction.WAIT)
FINISH: Final = EndStep(EndAction.FINISH)
_LETS_IN: Final = (StageState.RUNNING, StageState.DRAINING)


def next_step(records: Sequence[Record], flow: str = "R") -> EndStep:
    """What to do next with a pipeline. records: of its stages, in the order of the command line.

    flow: "L" if all that enters goes to the left, else "R": the order in which transformers are drained, so that each
    still gets what those before it give.
    """
    if any(record.state in (StageState.STARTING, StageState.STOPPING) or record.busy for record in records):
        return WAIT
    makers = [record for record in records if record.kind in (StageKind.SOURCE, StageKind.BACKGROUND)]
    alone = not makers
    if alone:
        makers = [record._replace(kind=StageKind.SOURCE) for record in records if record.kind is StageKind.TRANSFORMER]
    letting_in = [record for record in makers if record.open and record.state in _LETS_IN]
    if letting_in and (
        any(record.kind is StageKind.SOURCE for record in letting_in)
        or not any(record.kind is StageKind.SOURCE for record in makers)  # a speaker alone with its peer
        or any(record.state is StageState.WAITING for record in makers)  # the session may start it yet
    ):
        return WAIT
    if not alone:
        places = range(len(records)) if flow == "R" else range(len(records) - 1, -1, -1)
        for place in places:
            record = records[place]
            if record.kind is StageKind.TRANSFORMER and record.open and record.state in _LETS_IN:
                return EndStep(EndAction.DRAIN, place) if record.state is StageState.RUNNING else WAIT
    return FINISH
