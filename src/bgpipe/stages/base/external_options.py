"""The options that exec, pipe and websocket have in common."""

from __future__ import annotations

from ...pipeline.options import DURATION, FLAG, LIST, TEXT, Option, choice
from ...pipeline.stage import Stage
from .coding import FORMAT_SWITCHES


class ExternalOptions(Stage):
    """What is given to a partner outside, in which form, and what happens when it is gone."""

    format = Option(TEXT, "json", "format of the messages, both ways", metavar="FORMAT", switches=FORMAT_SWITCHES)
    type = Option(LIST, (), "work only on messages of these types; others pass by", metavar="TYPES")
    skip = Option(LIST, (), "let messages of these types pass by", metavar="TYPES")
    only_read = Option(FLAG, False, "only take messages in; give none out", name="read")
    only_write = Option(FLAG, False, "only give out copies; ignore what comes back", name="write")
    copy = Option(FLAG, False, "give out copies; the messages themselves go on too")
    on_exit = Option(
        choice("pass", "drop", "kill", "restart"),
        "kill",
        "when the partner is gone or stalled: let messages pass by, drop them, end the pipeline, or restart it",
    )
    stall_timeout = Option(
        DURATION, 10.0, "in a live session, a partner that makes no progress for this time is stalled; 0 means never"
    )
