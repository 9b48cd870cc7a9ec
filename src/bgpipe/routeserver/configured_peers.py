"""Peers as the configuration has them."""

from __future__ import annotations

import msgspec

from ..net.secret import read_secret
from .config import ConfiguredPeer
from .peers import Peer
from .rules import as_written, fields_of
from .settings import configured_options
from .values import check_written


def configured_peer(found: ConfiguredPeer, base: Peer) -> Peer:
    """A peer that stands in the configuration. base: the same as it is known already, or a new one.

    Raises ValueError where a key can't be read.
    """
    return msgspec.structs.replace(
        base,
        owner="config",
        description=found.description,
        group=found.group,
        custom_prefixes=tuple(check_written(as_written(each)) for each in found.custom_prefixes),
        md5_password=read_secret(found.md5_password)[0] if found.md5_password else "",
        session=configured_options(found),
        **fields_of(found),
    )
