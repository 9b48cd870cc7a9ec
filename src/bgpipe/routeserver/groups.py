"""Groups of peers: what holds for all peers in one, where they say nothing else."""

from __future__ import annotations

from typing import Literal

from .config import Config
from .rules import Rules, fields_of


class PeerGroup(Rules, frozen=True, kw_only=True):
    """local_asn: our AS number for its peers, 0 for the usual one. owner: who may change it."""

    name: str
    description: str = ""
    local_asn: int = 0
    owner: Literal["database", "config"] = "database"


def configured_groups(config: Config) -> dict[str, PeerGroup]:
    """Those of a configuration, by name."""
    return {
        each.name: PeerGroup(
            name=each.name,
            description=each.description,
            local_asn=each.local_asn or 0,
            owner="config",
            **fields_of(each),
        )
        for each in config.groups
    }
