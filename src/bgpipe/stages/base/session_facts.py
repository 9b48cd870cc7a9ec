"""What stages between two peers ask about the sessions at both sides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...pipeline.stage import Stage
from ...wire.message import Message

if TYPE_CHECKING:
    from ...pipeline.pipeline_base import PipelineBase
    from ...session.facts import Facts


def facts_of(pipeline: PipelineBase[Stage], side: str) -> Facts | None:
    """The facts of the connection to the peer at a side, "L" or "R"; None if there is none."""
    for stage in pipeline.stages:
        if stage.side == side and (facts := getattr(stage, "facts", None)) is not None:
            found: Facts = facts
            return found
    return None


def sender_facts(pipeline: PipelineBase[Stage], direction: str) -> Facts | None:
    """The facts of the peer that sends the messages of a direction."""
    return facts_of(pipeline, "R" if direction == "L" else "L")


def receiver_facts(pipeline: PipelineBase[Stage], direction: str) -> Facts | None:
    """The facts of the peer that gets the messages of a direction."""
    return facts_of(pipeline, "L" if direction == "L" else "R")


def header_asn(message: Message) -> int:
    """The AS number of the peer that a message came from, as its tag PEER_AS or its per-peer header says; 0 if neither
    does."""
    header = message.peer
    if header is not None:
        return int.from_bytes(header[:4], "big")
    text: Any = message.tags.get("PEER_AS", "")
    return int(text) if isinstance(text, str) and text.isdecimal() and len(text) <= 10 else 0
