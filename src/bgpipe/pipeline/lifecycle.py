"""When a pipeline is over: one pure function over what its stages are doing, without a clock and without the cause.

Three things are kept apart. An input is *open* if it lets in more; it is *busy* while something that it has let in is
still under way; and a stage is in one of the states below. Deadlines belong to the run loop: when one passes, it
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
    """it is being prepared, with those that the same event has started"""
    RUNNING = "running"
    DRAINING = "draining"
    """a transformer that gets no more messages, and gives what it still has"""
    STOPPING = "stopping"
    """it takes no part any more; what it has let in goes on"""
    ENDED = "ended"


class StageKind(Enum):
    """How a stage makes messages."""

    SOURCE = "source"
    """it makes messages, and keeps the pipeline going"""
    BACKGROUND = "background"
    """it makes messages as long as there are sources that do: a speaker, and the peer that it speaks with"""
    TRANSFORMER = "transformer"
    """it makes messages of those that it is given: a program. Without any source, it is one itself"""
    PASSIVE = "passive"
    """it makes none"""


class Cause(Enum):
    """Why the input was ended early."""

    END_INPUT = "stopped"
    """somebody has seen enough, such as `head`"""
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
    """What is to be done now. place: of the stage to be drained, in the list of records."""

    action: EndAction
    place: int = -1


WAIT: Final = EndStep(EndAction.WAIT)
FINISH: Final = EndStep(EndAction.FINISH)
_LETS_IN: Final = (StageState.RUNNING, StageState.DRAINING)


def next_step(records: Sequence[Record], flow: str = "R") -> EndStep:
    """What to do with a pipeline whose stages, in the order of the command line, are in these records.

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
