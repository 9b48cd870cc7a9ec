"""Flags of a message, as the index of a block has them (see block.py).

They say how the message is to be decoded, in which direction it travels, and what is known of it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from .context import AS2, AS2_ADD_PATH, AS4, AS4_ADD_PATH, WireContext
from .family import IPV4_UNICAST, IPV6_UNICAST

FLAG_AS4: Final = 1
"""AS numbers inside the message have 4 octets."""
FLAG_ADD_PATH: Final = 2
"""NLRI inside the message carry path identifiers."""
FLAG_PEER_AS4: Final = 4
"""AS numbers in the per-peer header have 4 octets."""
FLAG_RIGHT: Final = 8
FLAG_LEFT: Final = 16
"""The direction: none, one or both of the two flags."""
FLAG_GUESS_AS: Final = 32
"""The message is to be decoded with WireContext.guess_as."""
FLAG_CHECKED: Final = 64
"""The message has been validated: FLAG_MALFORMED is its verdict."""
FLAG_MALFORMED: Final = 128
"""With FLAG_CHECKED: the message is malformed, as wire/validation.py defines it."""
FLAG_TOLD: Final = 256
"""The event PARSE was emitted for this message, or for the message that it was before an edit."""
FLAG_OWN_PEER: Final = 512
"""The tags name another peer than the per-peer header."""
FLAG_RIB: Final = 1024
"""The message was made from entries of a RIB dump (RFC 6396 section 4.3); no peer sent it."""
FLAG_ADD_PATH_IPV4: Final = 2048
"""Without FLAG_ADD_PATH: NLRI of IPv4 unicast carry path identifiers."""
FLAG_ADD_PATH_IPV6: Final = 4096
"""Without FLAG_ADD_PATH: NLRI of IPv6 unicast carry path identifiers."""
VERDICT_FLAGS: Final = FLAG_CHECKED | FLAG_MALFORMED | FLAG_TOLD | FLAG_RIB

DIRECTION_FLAGS: Final = {"?": 0, "R": FLAG_RIGHT, "L": FLAG_LEFT, "LR": FLAG_LEFT | FLAG_RIGHT}
FLAG_DIRECTIONS: Final = {flags: direction for direction, flags in DIRECTION_FLAGS.items()}
ADD_PATH_FLAGS: Final = {FLAG_ADD_PATH_IPV4: IPV4_UNICAST, FLAG_ADD_PATH_IPV6: IPV6_UNICAST}
_PLAIN: Final = dict(enumerate((AS2, AS4, AS2_ADD_PATH, AS4_ADD_PATH)))
"""By the sum of FLAG_AS4 and FLAG_ADD_PATH."""
_PER_FAMILY: Final = {
    as4 | sum(flags): (AS2, AS4)[as4]._replace(add_path=frozenset(map(ADD_PATH_FLAGS.__getitem__, flags)))
    for as4 in (0, FLAG_AS4)
    for flags in ((FLAG_ADD_PATH_IPV4,), (FLAG_ADD_PATH_IPV6,), (FLAG_ADD_PATH_IPV4, FLAG_ADD_PATH_IPV6))
}
"""Contexts with ADD-PATH for one or both of two families."""
CONTEXTS: Final[dict[int, WireContext]] = {
    guess | flags: context._replace(guess_as=guess > 0) if guess else context
    for guess in (0, FLAG_GUESS_AS)
    for flags, context in (_PLAIN | _PER_FAMILY).items()
}
_FLAGS: Final = {context: flags for flags, context in CONTEXTS.items()}
CONTEXT_FLAGS: Final = FLAG_AS4 | FLAG_ADD_PATH | FLAG_GUESS_AS | FLAG_ADD_PATH_IPV4 | FLAG_ADD_PATH_IPV6


@lru_cache(maxsize=64)
def context_flags(context: WireContext) -> int | None:
    """The flags that say how to decode messages of this context. None if no flags can say it: ADD-PATH was agreed for
    other families than IPv4 and IPv6 unicast."""
    return _FLAGS.get(context._replace(extended_message=False))
