"""Connects the stages of a command line: directions, the order on each line, and events that start and stop them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import events
from .errors import ConfigError, nearest
from .events import Event, expand_all

if TYPE_CHECKING:
    from .callback import Callback
    from .pipeline import Pipeline
    from .stage import Stage


def attach(pipeline: Pipeline) -> None:
    """Gives each stage its directions and attaches it, and connects the inputs. Raises ConfigError."""
    row = [stage for stage in pipeline.stages if not stage.hidden]
    only_hidden_input = not any(stage.produces for stage in row)
    for stage in pipeline.stages:
        stage.is_last = stage is row[-1] if row else False
        stage.directions = stage.watched = _directions(pipeline, stage, row, only_hidden_input)
        _subscribe(pipeline, stage, row)
        try:
            stage.attach()
        except ConfigError as error:
            raise error.inside(stage, stage.index) from None
    for direction, line in pipeline.lines.items():
        ordered = sorted(row, key=lambda stage: stage.index, reverse=direction == "L")
        ordered += [stage for stage in pipeline.stages if stage.hidden]
        line.callbacks = [c for stage in ordered if direction in stage.watched for c in stage.callbacks]
    for stage in pipeline.stages:
        try:
            for callback in stage.callbacks:
                callback.prepare(stage.conditions(), pipeline.clock)
            for inlet in stage.inputs:
                inlet.connect(pipeline)
        except ConfigError as error:
            raise error.inside(stage, stage.index) from None
    for line in pipeline.lines.values():
        _open_blocks_before_head(line.callbacks)


def _open_blocks_before_head(callbacks: list[Callback]) -> None:
    """Makes stages before one that ends the input, such as `head`, get messages one by one, if their work can be seen
    from outside. In a block they would get more messages than pass `head`.

    Called for each line. A stage with -LR has one callback on both, and a head on either line ends the input of both.
    """
    ending: list[Callback] = []
    for callback in reversed(callbacks):
        callback.ending = [*callback.ending, *(each for each in ending if each not in callback.ending)]
        if ending and callback.stage.observable:
            callback.on_block = None
        if callback.stage.ends_input:
            ending = [callback, *ending]


def _directions(pipeline: Pipeline, stage: Stage, row: list[Stage], only_hidden_input: bool) -> str:
    if stage.rate_limit < 0 or stage.rate_sample < 0:
        raise ConfigError("a rate can't be negative").inside(stage, stage.index)
    if stage.rate_limit and stage.rate_sample:
        raise ConfigError("--rate-limit and --rate-sample exclude each other").inside(stage, stage.index)
    if stage.left and stage.right:
        if not stage.both:
            raise ConfigError("select either --left or --right, not both").inside(stage, stage.index)
        return "RL"
    if stage.left or stage.right:
        return "L" if stage.left else "R"
    if only_hidden_input and stage.both and any(other.produces for other in pipeline.stages):
        return "RL"  # all messages come from -i, and name their direction
    if stage.is_last and stage.produces:
        return "L"
    if stage in row[:1] and not stage.produces:
        return "L"
    return "R"


def _subscribe(pipeline: Pipeline, stage: Stage, row: list[Stage]) -> None:
    """Connects the events of --wait and --stop with a stage."""
    start = expand_all(stage.wait_for, ("START",))
    stop = expand_all(stage.stop_on, ("STOP",))
    stage.handled_events = [*start, *stop]
    known = {name for other in row for name in (other.name, other.name.removeprefix("@"))}
    for word in (*stage.wait_for, *stage.stop_on):
        if word.islower() and word.isalnum() and word not in known and word != "all":
            raise ConfigError(
                f"{stage.name}: no stage is called {word!r} (names of events have upper-case letters)"
                + nearest(word, known | {name.rpartition(".")[2] for name in events.SESSION_EVENTS})
            )
    pipeline.want(start)
    pipeline.want(stop)

    def on_start(event: Event) -> bool:
        pipeline.wake(stage)
        return False

    def on_stop(event: Event) -> bool:
        pipeline.stop_stage(stage)
        return False

    pipeline.bus.on(start or [events.START], on_start, stage)
    pipeline.bus.on(stop, on_stop, stage)
