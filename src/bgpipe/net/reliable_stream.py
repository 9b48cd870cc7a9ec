"""A stream of octets that survives the connections it travels on: numbers, acknowledgements, and frames sent again.

Both partners have one of these for as long as their stream lasts. It knows no socket and no clock.
"""

from __future__ import annotations

from collections import deque
from typing import Final

NUMBER: Final = 8
"""Octets of the number in front of each frame, most significant first."""


class StreamBroken(Exception):
    """The partner has sent numbers that are impossible for this stream, so it can't go on."""


class ReliableStream:
    """sent, acknowledged, received: the number of the last such frame, 0 for none; frames are numbered from 1.

    size: octets that are kept because the partner has not acknowledged them, taken: octets that it has acknowledged.
    doubles: frames that came again.
    """

    def __init__(self) -> None:
        self.sent = 0
        self.acknowledged = 0
        self.received = 0
        self.size = 0
        self.taken = 0
        self.doubles = 0
        self._kept: deque[bytes] = deque()
        """from the first that is not acknowledged"""
        self._next = 1
        """number of the frame that is to be sent next on the connection that there is"""

    def put(self, octets: bytes) -> None:
        """Takes octets as one frame, which is kept until it is acknowledged."""
        self.sent += 1
        self._kept.append(octets)
        self.size += len(octets)

    def next(self) -> bytes:
        """The frame to be sent next, with its number; b"" if all are sent."""
        if self._next > self.sent:
            return b""
        number, self._next = self._next, self._next + 1
        return number.to_bytes(NUMBER, "big") + self._kept[number - self.acknowledged - 1]

    def acknowledge(self, number: int) -> None:
        """Called when the partner has acknowledged all frames up to this number. Raises StreamBroken."""
        if number >= self._next:
            raise StreamBroken(f"frame {number} is acknowledged, and {self._next - 1} were sent")
        while self.acknowledged < number:
            self.acknowledged += 1
            octets = self._kept.popleft()
            self.size -= len(octets)
            self.taken += len(octets)

    def resume(self, received: int) -> None:
        """Called with a new connection. received: the number of frames that the partner has got. Raises
        StreamBroken."""
        if not self.acknowledged <= received <= self.sent:
            raise StreamBroken(f"the partner has {received} frames, and {self.acknowledged} to {self.sent} can be sent")
        self._next = received + 1

    def receive(self, frame: bytes) -> bytes:
        """The octets of a frame of the partner; b"" if it came before. Raises StreamBroken."""
        number = int.from_bytes(frame[:NUMBER], "big")
        if len(frame) <= NUMBER or number > self.received + 1:
            raise StreamBroken(f"frame {number} came behind {self.received}")
        if number <= self.received:
            self.doubles += 1
            return b""
        self.received = number
        return frame[NUMBER:]
