"""The BGP finite state machine (RFC 4271 section 8) as one table.

`TABLE[state][event]` names what is done, in order, and the state that follows. What a state does not list is
OTHERWISE: an FSM error (RFC 6608) where a message may be sent, nothing in Idle.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple


class State(StrEnum):
    """States of RFC 4271 section 8.2.2."""

    IDLE = "Idle"
    CONNECT = "Connect"
    ACTIVE = "Active"
    OPEN_SENT = "OpenSent"
    OPEN_CONFIRM = "OpenConfirm"
    ESTABLISHED = "Established"


class Event(StrEnum):
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


class Step(NamedTuple):
    """actions: names of the session's methods, in order. state: what follows."""

    actions: tuple[str, ...]
    state: State


def _do(actions: str, state: State) -> Step:
    return Step(tuple(actions.split()), state)


_IDLE = State.IDLE
_DOWN: Final = _do("fail", _IDLE)
_LOST: Final = _do("lose", State.ACTIVE)
_NOTIFY: Final = _do("send_fault fail", _IDLE)

OTHERWISE: Final[dict[State, Step]] = {
    State.IDLE: _do("", State.IDLE),
    State.CONNECT: _DOWN,
    State.ACTIVE: _DOWN,
    State.OPEN_SENT: _do("send_fsm_error fail", _IDLE),
    State.OPEN_CONFIRM: _do("send_fsm_error fail", _IDLE),
    State.ESTABLISHED: _do("send_fsm_error fail", _IDLE),
}

TABLE: Final[dict[State, dict[Event, Step]]] = {
    State.IDLE: {
        Event.START: _do("connect", State.CONNECT),
        Event.START_PASSIVE: _do("", State.ACTIVE),
        Event.IDLE_HOLD_TIMER: _do("connect", State.CONNECT),
        Event.IDLE_HOLD_TIMER_PASSIVE: _do("", State.ACTIVE),
    },
    State.CONNECT: {
        Event.STOP: _do("close", _IDLE),
        Event.START: _do("", State.CONNECT),
        Event.START_PASSIVE: _do("", State.CONNECT),
        Event.CONNECT_RETRY_TIMER: _do("close connect", State.CONNECT),
        Event.TCP_UP: _do("greet", State.OPEN_SENT),
        Event.TCP_UP_DELAYED: _do("delay_open", State.CONNECT),
        Event.DELAY_OPEN_TIMER: _do("greet", State.OPEN_SENT),
        Event.OPEN_WAITED: _do("send_open accept_open send_keepalive", State.OPEN_CONFIRM),
        Event.TCP_DOWN: _DOWN,
        Event.TCP_DOWN_DELAYED: _LOST,
        Event.HEADER_ERROR: _NOTIFY,
        Event.OPEN_ERROR: _NOTIFY,
        Event.NOTIFICATION: _DOWN,
    },
    State.ACTIVE: {
        Event.STOP: _do("close", _IDLE),
        Event.START: _do("", State.ACTIVE),
        Event.START_PASSIVE: _do("", State.ACTIVE),
        Event.CONNECT_RETRY_TIMER: _do("connect", State.CONNECT),
        Event.TCP_UP: _do("greet", State.OPEN_SENT),
        Event.TCP_UP_DELAYED: _do("delay_open", State.ACTIVE),
        Event.DELAY_OPEN_TIMER: _do("greet", State.OPEN_SENT),
        Event.OPEN_WAITED: _do("send_open accept_open send_keepalive", State.OPEN_CONFIRM),
        Event.TCP_DOWN: _DOWN,
        Event.TCP_DOWN_DELAYED: _DOWN,
        Event.HEADER_ERROR: _NOTIFY,
        Event.OPEN_ERROR: _NOTIFY,
        Event.NOTIFICATION: _DOWN,
    },
    State.OPEN_SENT: {
        Event.STOP: _do("send_cease close", _IDLE),
        Event.START: _do("", State.OPEN_SENT),
        Event.START_PASSIVE: _do("", State.OPEN_SENT),
        Event.HOLD_TIMER: _do("send_hold_expired fail", _IDLE),
        Event.TCP_DOWN: _LOST,
        Event.OPEN: _do("accept_open send_keepalive", State.OPEN_CONFIRM),
        Event.HEADER_ERROR: _NOTIFY,
        Event.OPEN_ERROR: _NOTIFY,
        Event.COLLISION: _do("send_collision close", _IDLE),
        Event.NOTIFICATION: _DOWN,
    },
    State.OPEN_CONFIRM: {
        Event.STOP: _do("send_cease close", _IDLE),
        Event.START: _do("", State.OPEN_CONFIRM),
        Event.START_PASSIVE: _do("", State.OPEN_CONFIRM),
        Event.HOLD_TIMER: _do("send_hold_expired fail", _IDLE),
        Event.KEEPALIVE_TIMER: _do("send_keepalive", State.OPEN_CONFIRM),
        Event.TCP_DOWN: _DOWN,
        Event.KEEPALIVE: _do("heard establish", State.ESTABLISHED),
        Event.HEADER_ERROR: _NOTIFY,
        Event.OPEN_ERROR: _NOTIFY,
        Event.COLLISION: _do("send_collision close", _IDLE),
        Event.NOTIFICATION: _DOWN,
    },
    State.ESTABLISHED: {
        Event.STOP: _do("send_cease close", _IDLE),
        Event.START: _do("", State.ESTABLISHED),
        Event.START_PASSIVE: _do("", State.ESTABLISHED),
        Event.HOLD_TIMER: _do("send_hold_expired fail", _IDLE),
        Event.KEEPALIVE_TIMER: _do("send_keepalive", State.ESTABLISHED),
        Event.SEND_HOLD_TIMER: _do("send_send_hold_expired fail", _IDLE),
        Event.TCP_DOWN: _DOWN,
        Event.KEEPALIVE: _do("heard", State.ESTABLISHED),
        Event.UPDATE: _do("heard deliver", State.ESTABLISHED),
        Event.ROUTE_REFRESH: _do("heard deliver", State.ESTABLISHED),
        Event.ROUTE_REFRESH_ERROR: _NOTIFY,
        Event.HEADER_ERROR: _NOTIFY,
        Event.UPDATE_ERROR: _NOTIFY,
        Event.COLLISION: _do("send_collision close", _IDLE),
        Event.NOTIFICATION: _DOWN,
    },
}


def step(state: State, event: Event) -> Step:
    """What `event` does in `state`."""
    return TABLE[state].get(event) or OTHERWISE[state]
