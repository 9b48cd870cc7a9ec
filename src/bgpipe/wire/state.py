"""A change of a session's state, as MRT archives record it between messages (RFC 6396 section 4.4.1)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from .context import AS4, WireContext
from .errors import TextError
from .message import Message

if TYPE_CHECKING:
    from .elem import Elem

STATE: Final = 256
"""The type code of a state change: no octet, so no BGP message has it."""
BMP: Final = 257
"""The type code of a BMP message that holds no BGP message (see wire.bmp)."""
STATE_NAMES: Final[dict[int, str]] = {
    1: "IDLE",
    2: "CONNECT",
    3: "ACTIVE",
    4: "OPENSENT",
    5: "OPENCONFIRM",
    6: "ESTABLISHED",
}
_STATES: Final = {name: code for code, name in STATE_NAMES.items()}


class StateChange(Message):
    """A state change of an MRT archive (RFC 6396 section 4.4.1), which travels like a message. Its `octets` are empty.

    old, new: states by the numbers of RFC 6396, 1 (Idle) to 6 (Established); some collectors write more.
    """

    __slots__ = ()

    def __init__(
        self,
        old: int,
        new: int,
        *,
        direction: str = "?",
        seq: int = 0,
        time: int = 0,
        context: WireContext = AS4,
        tags: dict[str, str] | None = None,
        peer: bytes | None = None,
        action: int = 0,
    ) -> None:
        super().__init__(
            STATE,
            old.to_bytes(2, "big") + new.to_bytes(2, "big"),
            direction=direction,
            seq=seq,
            time=time,
            context=context,
            tags=tags,
            peer=peer,
            action=action,
        )

    @property
    def old(self) -> int:
        return int.from_bytes(self.body[:2], "big")

    @property
    def new(self) -> int:
        return int.from_bytes(self.body[2:], "big")

    @property
    def type(self) -> str:
        return "STATE"

    @property
    def octets(self) -> bytes:
        return b""

    def elems(self) -> Iterator[Elem]:
        """One element of the type "S"."""
        from .elem import state_elem

        yield state_elem(self._sender(), self.old, self.new)

    def format_json(self) -> str:
        names = [f'"{name}"' if isinstance(name, str) else name for name in map(format_state, (self.old, self.new))]
        return '{"old":%s,"new":%s}' % tuple(names)


def format_state(state: int) -> str | int:
    """A state's name, or its number where it has none."""
    return STATE_NAMES.get(state, state)


def parse_state(state: object) -> int:
    """A state by name or number. Raises TextError."""
    if isinstance(state, str) and state.upper() in _STATES:
        return _STATES[state.upper()]
    if isinstance(state, int) and 0 <= state <= 65535:
        return int(state)
    raise TextError(f"not a state: {state!r}; {', '.join(_STATES)} or a number is expected")
