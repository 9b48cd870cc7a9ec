"""The BGP finite state machine (RFC 4271 section 8) as one table.

`TABLE[state][event]` has the actions, in order, and the next state. An event that a state does not list is OTHERWISE:
an FSM error (RFC 6608), but nothing in Idle.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple


class FsmState(StrEnum):
    """States of RFC 4271 section 8.2.2."""

    IDLE = "Idle"
    CONNECT = "Connect"
    ACTIVE = "Active"
    OPEN_SENT = "OpenSent"
    OPEN_CONFIRM = "OpenConfirm"
    ESTABLISHED = "Established"


class FsmEvent(StrEnum):
    """Events of RFC 4271 section 8.1, and those that later RFCs add."""

    START = "ManualStart"
    START_PASSIVE = "ManualStart_with_PassiveTcpEstablishment"
    STOP = "ManualStop"
    IDLE_HOLD_TIMER = "IdleHoldTimer_Expires"
    IDLE_HOLD_TIMER_PASSIVE = "IdleHoldTimer_Expires with PassiveTcpEstablishment"
    CONNECT_RETRY_TIMER = "ConnectRetryTimer_Expires"
    DELAY_OPEN_TIMER = "DelayOpenTimer_Expires"
    HOLD_TIMER = "HoldTimer_Expires"
    KEEPALIVE_TIMER = "KeepaliveTimer_Expires"
    SEND_HOLD_TIMER = "SendHoldTimer_Expires"
    """RFC 9687"""
    TCP_UP = "TcpConnectionConfirmed"
    TCP_UP_DELAYED = "TcpConnectionConfirmed with DelayOpen"
    TCP_DOWN = "TcpConnectionFails"
    TCP_DOWN_DELAYED = "TcpConnectionFails with DelayOpenTimer running"
    HEADER_ERROR = "BGPHeaderErr"
    COLLISION = "OpenCollisionDump"
    OPEN = "BGPOpen"
    OPEN_WAITED = "BGPOpen with DelayOpenTimer running"
    OPEN_ERROR = "BGPOpenMsgErr"
    NOTIFICATION = "NotifMsg"
    KEEPALIVE = "KeepAliveMsg"
    UPDATE = "UpdateMsg"
    UPDATE_ERROR = "UpdateMsgErr"
    ROUTE_REFRESH = "RouteRefreshMsg"
    """RFC 2918"""
    ROUTE_REFRESH_ERROR = "RouteRefreshMsgErr"
    """RFC 7313"""


class Transition(NamedTuple):
    """actions: names of the session's methods, in order. state: what follows."""

    actions: tuple[str, ...]
    state: FsmState


def _do(actions: str, state: FsmState) -> Transition:
    return Transition(tuple(actions.split()), state)


_IDLE = FsmState.IDLE
_DOWN: Final = _do("fail", _IDLE)
_LOST: Final = _do("lose", FsmState.ACTIVE)
_NOTIFY: Final = _do("send_fault fail", _IDLE)

OTHERWISE: Final[dict[FsmState, Transition]] = {
    FsmState.IDLE: _do("", FsmState.IDLE),
    FsmState.CONNECT: _DOWN,
    FsmState.ACTIVE: _DOWN,
    FsmState.OPEN_SENT: _do("send_fsm_error fail", _IDLE),
    FsmState.OPEN_CONFIRM: _do("send_fsm_error fail", _IDLE),
    FsmState.ESTABLISHED: _do("send_fsm_error fail", _IDLE),
}

TABLE: Final[dict[FsmState, dict[FsmEvent, Transition]]] = {
    FsmState.IDLE: {
        FsmEvent.START: _do("connect", FsmState.CONNECT),
        FsmEvent.START_PASSIVE: _do("", FsmState.ACTIVE),
        FsmEvent.IDLE_HOLD_TIMER: _do("connect", FsmState.CONNECT),
        FsmEvent.IDLE_HOLD_TIMER_PASSIVE: _do("", FsmState.ACTIVE),
    },
    FsmState.CONNECT: {
        FsmEvent.STOP: _do("close", _IDLE),
        FsmEvent.START: _do("", FsmState.CONNECT),
        FsmEvent.START_PASSIVE: _do("", FsmState.CONNECT),
        FsmEvent.CONNECT_RETRY_TIMER: _do("close connect", FsmState.CONNECT),
        FsmEvent.TCP_UP: _do("greet", FsmState.OPEN_SENT),
        FsmEvent.TCP_UP_DELAYED: _do("delay_open", FsmState.CONNECT),
        FsmEvent.DELAY_OPEN_TIMER: _do("greet", FsmState.OPEN_SENT),
        FsmEvent.OPEN_WAITED: _do("send_open accept_open send_keepalive", FsmState.OPEN_CONFIRM),
        FsmEvent.TCP_DOWN: _DOWN,
        FsmEvent.TCP_DOWN_DELAYED: _LOST,
        FsmEvent.HEADER_ERROR: _NOTIFY,
        FsmEvent.OPEN_ERROR: _NOTIFY,
        FsmEvent.NOTIFICATION: _DOWN,
    },
    FsmState.ACTIVE: {
        FsmEvent.STOP: _do("close", _IDLE),
        FsmEvent.START: _do("", FsmState.ACTIVE),
        FsmEvent.START_PASSIVE: _do("", FsmState.ACTIVE),
        FsmEvent.CONNECT_RETRY_TIMER: _do("connect", FsmState.CONNECT),
        FsmEvent.TCP_UP: _do("greet", FsmState.OPEN_SENT),
        FsmEvent.TCP_UP_DELAYED: _do("delay_open", FsmState.ACTIVE),
        FsmEvent.DELAY_OPEN_TIMER: _do("greet", FsmState.OPEN_SENT),
        FsmEvent.OPEN_WAITED: _do("send_open accept_open send_keepalive", FsmState.OPEN_CONFIRM),
        FsmEvent.TCP_DOWN: _DOWN,
        FsmEvent.TCP_DOWN_DELAYED: _DOWN,
        FsmEvent.HEADER_ERROR: _NOTIFY,
        FsmEvent.OPEN_ERROR: _NOTIFY,
        FsmEvent.NOTIFICATION: _DOWN,
    },
    FsmState.OPEN_SENT: {
        FsmEvent.STOP: _do("send_cease close", _IDLE),
        FsmEvent.START: _do("", FsmState.OPEN_SENT),
        FsmEvent.START_PASSIVE: _do("", FsmState.OPEN_SENT),
        FsmEvent.HOLD_TIMER: _do("send_hold_expired fail", _IDLE),
        FsmEvent.TCP_DOWN: _LOST,
        FsmEvent.OPEN: _do("accept_open send_keepalive", FsmState.OPEN_CONFIRM),
        FsmEvent.HEADER_ERROR: _NOTIFY,
        FsmEvent.OPEN_ERROR: _NOTIFY,
        FsmEvent.COLLISION: _do("send_collision close", _IDLE),
        FsmEvent.NOTIFICATION: _DOWN,
    },
    FsmState.OPEN_CONFIRM: {
        FsmEvent.STOP: _do("send_cease close", _IDLE),
        FsmEvent.START: _do("", FsmState.OPEN_CONFIRM),
        FsmEvent.START_PASSIVE: _do("", FsmState.OPEN_CONFIRM),
        FsmEvent.HOLD_TIMER: _do("send_hold_expired fail", _IDLE),
        FsmEvent.KEEPALIVE_TIMER: _do("send_keepalive", FsmState.OPEN_CONFIRM),
        FsmEvent.TCP_DOWN: _DOWN,
        FsmEvent.KEEPALIVE: _do("heard establish", FsmState.ESTABLISHED),
        FsmEvent.HEADER_ERROR: _NOTIFY,
        FsmEvent.OPEN_ERROR: _NOTIFY,
        FsmEvent.COLLISION: _do("send_collision close", _IDLE),
        FsmEvent.NOTIFICATION: _DOWN,
    },
    FsmState.ESTABLISHED: {
        FsmEvent.STOP: _do("send_cease close", _IDLE),
        FsmEvent.START: _do("", FsmState.ESTABLISHED),
        FsmEvent.START_PASSIVE: _do("", FsmState.ESTABLISHED),
        FsmEvent.HOLD_TIMER: _do("send_hold_expired fail", _IDLE),
        FsmEvent.KEEPALIVE_TIMER: _do("send_keepalive", FsmState.ESTABLISHED),
        FsmEvent.SEND_HOLD_TIMER: _do("send_send_hold_expired fail", _IDLE),
        FsmEvent.TCP_DOWN: _DOWN,
        FsmEvent.KEEPALIVE: _do("heard", FsmState.ESTABLISHED),
        FsmEvent.UPDATE: _do("heard deliver", FsmState.ESTABLISHED),
        FsmEvent.ROUTE_REFRESH: _do("heard deliver", FsmState.ESTABLISHED),
        FsmEvent.ROUTE_REFRESH_ERROR: _NOTIFY,
        FsmEvent.HEADER_ERROR: _NOTIFY,
        FsmEvent.UPDATE_ERROR: _NOTIFY,
        FsmEvent.COLLISION: _do("send_collision close", _IDLE),
        FsmEvent.NOTIFICATION: _DOWN,
    },
}


def step(state: FsmState, event: FsmEvent) -> Transition:
    """The transition for `event` in `state`."""
    return TABLE[state].get(event) or OTHERWISE[state]
