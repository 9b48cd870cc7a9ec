"""The metrics of a pipeline and its stages.

While messages flow, nothing is done here: stages count in plain integers, which costs little. When the metrics are
asked for, `measure` adds them up. So they have the numbers of all sessions of a process, those that have ended
included.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from .metrics import SIDES, Metrics

if TYPE_CHECKING:
    from .pipeline import Pipeline
    from .pipeline_base import PipelineBase
    from .stage import Stage


def measure(pipeline: Pipeline, metrics: Metrics) -> None:
    """Adds what one pipeline and its stages have counted."""
    for direction, line in pipeline.lines.items():
        metrics.add("bgpipe_line_entered_total", line.entered, dir=SIDES[direction])
        metrics.add("bgpipe_line_left_total", line.left, dir=SIDES[direction])
        metrics.add("bgpipe_line_held", pipeline.holds[direction], dir=SIDES[direction])
    metrics.add("bgpipe_malformed_messages_total", pipeline.malformed_messages)
    for event, count in pipeline.events.items():
        metrics.add("bgpipe_events_total", count, event=event)
    names = {stage: slug for slug, stage in slugs(pipeline).items()}
    for stage in pipeline.stages:
        slug = names.get(stage, stage.name)
        for reason, count in stage.drops.items():
            if reason == "taken":  # taken by a stage that may give them back, so they are not lost
                metrics.add("bgpipe_taken_messages_total", count, stage=slug)
            else:
                metrics.add("bgpipe_dropped_messages_total", count, stage=slug, reason=reason)
        counted = stage.status().get("metrics", {})
        for name, value in counted.items():
            for reason, count in value.items() if isinstance(value, dict) else [("", value)]:
                labels = {"stage": slug} | ({"reason": reason} if reason else {})
                metrics.add(f"{metric_prefix(stage)}{name}_total", count, **labels)
        stage.measure(metrics)


def metric_prefix(stage: Stage) -> str:
    """What the names of a stage's own metrics begin with."""
    name = re.sub(r"[^a-z0-9_]+", "_", stage.name.lower()).strip("_")
    return f"bgpipe_{name or f'stage_{stage.index}'}_"


def slugs(pipeline: PipelineBase[Stage]) -> Mapping[str, Stage]:
    """The stages by their names in URLs; where two have the same name, those after the first get their number too."""
    found: dict[str, Stage] = {}
    for stage in pipeline.stages:
        if stage.hidden:
            continue
        slug = re.sub(r"[^A-Za-z0-9_.-]+", "-", stage.name.removeprefix("@")) or f"stage-{stage.index}"
        found[slug if slug not in found else f"{slug}-{stage.index}"] = stage
    return found


def slug_of(stage: Stage) -> str:
    """The name of a stage in URLs and in the label `stage`."""
    return next((slug for slug, each in slugs(stage.pipeline).items() if each is stage), stage.name)
