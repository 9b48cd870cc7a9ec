"""How many octets the value of a path attribute can have."""

from __future__ import annotations

from typing import NamedTuple

from ..context import WireContext
from ..errors import WireError


class Lengths(NamedTuple):
    """size: octets of the value, or (many) of each of its elements.

    as2: the same where AS numbers have two octets; None if that makes no difference.
    """

    size: int
    many: bool = False
    as2: int | None = None

    def check(self, length: int, context: WireContext) -> None:
        """Raises WireError for a value of `length` octets that can't be."""
        if self.many:
            if length % self.size:
                raise WireError(f"length {length} is no multiple of {self.size}", subcode=5)
            return
        size = self.size if self.as2 is None or context.as4 else self.as2
        if length != size and not (context.guess_as and length in (self.size, self.as2)):
            raise WireError(f"length is {length}, not {size}", subcode=5)
