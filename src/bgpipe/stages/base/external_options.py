"""The common options of exec, pipe and websocket."""

from __future__ import annotations

from ...pipeline.options import DURATION, FLAG, LIST, TEXT, Option, choice
from ...pipeline.stage import Stage
from .coding import FORMAT_SWITCHES


class ExternalOptions(Stage):
    """Options: which messages go to the partner, in which format, and what happens when it is gone."""

    format = Option(
        TEXT, "json", "format of the messages, for sending and receiving", metavar="FORMAT", switches=FORMAT_SWITCHES
    )
    type = Option(LIST, (), "work only on messages of these types; others pass by", metavar="TYPES")
    skip = Option(LIST, (), "let messages of these types pass by", metavar="TYPES")
    only_read = Option(FLAG, False, "only read messages from the other program; send it none", name="read")
    only_write = Option(FLAG, False, "only send copies to the other program; ignore what comes back", name="write")
    copy = Option(FLAG, False, "send copies to the other program; the messages themselves go on too")
    on_exit = Option(
        choice("pass", "drop", "kill", "restart"),
        "kill",
        "when the other program has ended or is stalled: let messages pass by, drop them, end the pipeline, or "
        "start it again",
    )
    stall_timeout = Option(
        DURATION,
        10.0,
        "in a live session, the other program is stalled if it makes no progress for this time; 0 means never",
    )
