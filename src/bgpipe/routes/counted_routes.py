"""How many routes a peer has announced, of all families."""

from __future__ import annotations

from ..wire.block import Block
from ..wire.errors import WireError
from ..wire.family import IPV4_UNICAST, IPV6_UNICAST, Family
from ..wire.message import UPDATE, Message
from .adj_rib_in import AdjRibIn
from .adj_rib_out import changes

UNICAST = frozenset((IPV4_UNICAST, IPV6_UNICAST))


class CountedRoutes:
    """UPDATEs in, by `take`; `len` is the number of routes."""

    def __init__(self) -> None:
        self._unicast = AdjRibIn()
        self._others: set[tuple[Family, bytes]] = set()

    def __len__(self) -> int:
        return len(self._unicast) + len(self._others)

    def take(self, item: Message | Block, families: frozenset[Family] | None = None) -> None:
        """families: those that the peers have agreed on; None if nobody knows. UPDATEs that can't be read are no
        routes."""
        self._unicast.take(item)
        if families is not None and families <= UNICAST:
            return
        for message in (item,) if isinstance(item, Message) else item:
            if message.type_code == UPDATE:
                self._take_others(message)

    def _take_others(self, message: Message) -> None:
        try:
            withdrawn, announced = changes(message.update)
        except WireError:
            return
        for family, identities, _ in withdrawn:
            if family not in UNICAST:
                self._others.difference_update((family, identity) for identity in identities)
        for family, identities, _, _ in announced:
            if family not in UNICAST:
                self._others.update((family, identity) for identity in identities)
