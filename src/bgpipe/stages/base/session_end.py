"""Stages that take the place of a router at an end of a live session: a tunnel, or a program that is a speaker.

BGP relies on its transport, so a lost message is not sent again. If such a stage fails, both sides of the session end.
"""

from __future__ import annotations

from ...pipeline.errors import ConfigError, SessionLost
from ...pipeline.stage import Stage
from .peer import PeerStage


def has_live_peer(stage: Stage) -> bool:
    """Whether another stage of the pipeline is an end of a live session."""
    others = (each for each in stage.pipeline.stages if each is not stage and not each.hidden)
    return any(isinstance(each, PeerStage) or each.originates_session for each in others)


def check_session_end(on_exit: str) -> None:
    """Raises ConfigError."""
    if on_exit in ("pass", "drop"):
        raise ConfigError(
            f"--on-exit {on_exit}: this stage is an end of the session, so messages can't go on without it"
        )


def session_lost(stage: Stage, reason: str) -> SessionLost:
    """The error that ends both sides of the session; it is logged as a warning."""
    if not stage.pipeline.stopping:
        stage.pipeline.log.warning(f"both sides of the session end: {reason}", stage=str(stage))
    return SessionLost(f"{stage}: {reason}", reason="tunnel")
