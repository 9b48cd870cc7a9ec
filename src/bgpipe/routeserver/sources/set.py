"""Lists that are made of others: some joined, without the addresses of some others.

It is worked out when one of them changes; nothing is fetched.
"""

from __future__ import annotations

from collections.abc import Callable

from ...routes.exclusion import exclude
from ...routes.prefixes import PrefixSet
from ...tasks import in_thread
from ..bogons import BOGONS
from ..config import PrefixSource
from .base import Fetched, Member, NotYet
from .context import Context


class SetSource:
    """member: the list with a name. Its validator says which versions of them it was made of."""

    def __init__(self, settings: PrefixSource, member: Callable[[str], Member | None]) -> None:
        self._settings = settings
        self._member = member

    async def fetch(self, validator: str) -> Fetched | None:
        joined, missing = self._known(self._settings.sources)
        less, unknown = self._known(self._settings.without)
        if unknown:  # without them it would have what it must not have
            raise NotYet(f"waits for {', '.join(unknown)}")
        if not joined:
            raise NotYet(f"waits for {', '.join(missing)}")
        current = _validator(joined, less)
        if current == validator:
            return None
        prefixes = await in_thread("set", lambda: _difference(list(joined.values()), list(less.values())))
        return Fetched(prefixes=prefixes, validator=current)

    def _known(self, names: tuple[str, ...]) -> tuple[dict[str, Member], list[str]]:
        """(the lists that were read, the names of others). Raises NotYet while one is asked for the first time."""
        found = {name: self._member(name) for name in names}
        known = {name: each for name, each in found.items() if each is not None and each.known}
        if waiting := [name for name, each in found.items() if each is not None and not each.known and not each.tried]:
            raise NotYet(f"waits for {', '.join(waiting)}")
        return known, [name for name in names if name not in known]


def _validator(joined: dict[str, Member], less: dict[str, Member]) -> str:
    parts = [f"{name}={each.edition}" for name, each in joined.items()]
    return " ".join(parts + [f"-{name}={each.edition}" for name, each in less.items()])


def _difference(joined: list[Member], less: list[Member]) -> PrefixSet:
    found = PrefixSet.joined(exclude(each.prefixes, BOGONS) if each.fetched else each.prefixes for each in joined)
    return exclude(found, PrefixSet.joined(each.prefixes for each in less))


def make(settings: PrefixSource, context: Context) -> SetSource:
    return SetSource(settings, context.member)
