"""Sets of prefixes, parted by which of them each prefix is in: parts that many peers have in common.

A peer that has chosen some of the sets gets every part that is in one of them, whole. So a part is encoded once.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import filterfalse, pairwise
from typing import Final, NamedTuple, TypeVar

from .. import accel
from ..wire.block import Block
from . import packing
from .attributes import EncodedAttributes
from .packing import Packed
from .prefixes import EMPTY, FEW, PrefixSet, common, compact, merged, without
from .steps import SharedSteps, Steps, finish

T = TypeVar("T")
AFIS: Final = (1, 2)
"""IPv4 and IPv6."""
MAX_ENCODED: Final = 64 << 20
"""Octets of messages that are kept for the next peer of the same form."""
_STEP: Final = 20_000
"""Prefixes that are parted in one step: some milliseconds."""
_PARTS: Final = 20
"""Parts that are so many times smaller make no step of their own."""
_SAMPLE: Final = 512
"""Of so many prefixes one is looked at to divide all of them into steps."""
_ACCEL_STEP: Final = 1 << 17
"""Prefixes that accel parts in one step."""
_ANEW: Final = 4
"""If more than one of so many prefixes changes, all are parted anew."""
_ANEW_BY_ACCEL: Final = 200
"""The same where accel parts them."""


class Part:
    """Prefixes of one AFI that are in the same sets. It never changes. Two with the same prefixes may be two.

    order: their numbers in the order of packing. counts: see packing.packing_order.
    """

    __slots__ = ("_nlri", "afi", "counts", "order")

    def __init__(self, numbers: Sequence[int], afi: int) -> None:
        self.afi = afi
        self.order, self.counts = packing.packing_order(numbers, afi)
        self._nlri: packing.Runs = ()

    def changed(self, delta: Delta) -> Part:
        """With other prefixes."""
        if (len(delta.gone) + len(delta.come)) * FEW > len(self):
            return Part(merged((without(self.numbers, delta.gone), delta.come)), self.afi)
        made = Part.__new__(Part)
        made.afi = self.afi
        made.order, made.counts = packing.edited(self.order, self.counts, delta.gone, delta.come)
        made._nlri = ()
        return made

    def without(self, omitted: Sequence[int]) -> Part:
        """Without some of its prefixes, many maybe."""
        made = Part.__new__(Part)
        made.afi, made._nlri = self.afi, ()
        left = filterfalse(frozenset(omitted).__contains__, self.order)
        made.order = array("Q", left) if self.afi == 1 else tuple(left)
        gone = Counter(packing.ADDRESS_OCTETS[number & 0xFF] for number in omitted)
        made.counts = tuple(count - gone[size] for size, count in enumerate(self.counts))
        return made

    @property
    def nlri(self) -> packing.Runs:
        """The octets of all prefixes, for small parts: see packing.joined."""
        if not self._nlri:
            self._nlri = tuple(packing.encode_nlri(self.order, self.counts, self.afi))
        return self._nlri

    @property
    def numbers(self) -> list[int]:
        """Their numbers, sorted."""
        return sorted(self.order)

    def __len__(self) -> int:
        return len(self.order)

    def place(self, number: int) -> int:
        """Where a number stands in the order of packing, -1 if it does not."""
        return packing.place_of(number, self.order, self.counts)

    def between(self, first: int, last: int) -> list[int]:
        """The numbers from `first` to below `last`, sorted."""
        found: list[int] = []
        start = 0
        for count in self.counts:
            if count:
                begin = bisect_left(self.order, first, start, start + count)
                found += self.order[begin : bisect_left(self.order, last, begin, start + count)]
                start += count
        found.sort()
        return found

    def __repr__(self) -> str:
        return f"<Part of {len(self)} IPv{4 if self.afi == 1 else 6} prefixes>"


def packed_in_steps(part: Part, head: EncodedAttributes) -> Steps[Packed]:
    """The messages of a part. Raises TextError if the path attributes leave no place for prefixes."""
    return (yield from _last(packing.announcing(part.order, part.counts, part.afi, head)))


def _last(making: Iterable[T | None]) -> Steps[T]:
    found: T | None = None
    for made in making:
        if made is None:
            yield
        found = found or made
    assert found is not None
    return found


class Encodings:
    """Messages that several peers get: of parts, kept for the next peer, at most `limit` octets, of which what was used
    least lately goes first; and of the change from one table to another, until there is another one."""

    def __init__(self, limit: int = MAX_ENCODED) -> None:
        self.limit = limit
        self.octets = 0
        self._kept: OrderedDict[tuple[Part, EncodedAttributes], Packed] = OrderedDict()
        self._making: dict[tuple[Part, EncodedAttributes], SharedSteps[Packed]] = {}
        self._changes: dict[Hashable, SharedSteps[Block]] = {}

    def of(self, part: Part, head: EncodedAttributes) -> Steps[Packed]:
        """Raises TextError if the path attributes leave no place for prefixes."""
        key = part, head
        packed = self._kept.get(key)
        if packed is not None:
            self._kept.move_to_end(key)
            return packed
        if key not in self._making:
            self._making[key] = SharedSteps(packing.announcing(part.order, part.counts, part.afi, head))
        try:
            found = yield from _last(self._making[key])
        finally:
            self._making.pop(key, None)
        if key not in self._kept:
            self._kept[key] = found
            self.octets += found.weight
        while self.octets > self.limit and len(self._kept) > 1:
            self.octets -= self._kept.popitem(last=False)[1].weight
        return found

    def change(self, key: Hashable, make: Callable[[], Iterator[Block | None]]) -> Iterator[Block | None]:
        """The messages of a change, made by the first of all peers with the same `key`. None after each other step."""
        if key not in self._changes:
            self._changes[key] = SharedSteps(make())
        return iter(self._changes[key])

    def forget_changes(self) -> None:
        """Lists have changed: who is told of an earlier change goes on, and nobody else will ask for it."""
        self._changes.clear()

    def forget(self, parts: Iterable[Part]) -> None:
        """These parts are no more."""
        gone = set(parts)
        for key in [key for key in self._kept if key[0] in gone]:
            self.octets -= self._kept.pop(key).weight


def spans(runs: Sequence[Sequence[int]], step: int) -> list[tuple[int, int]]:
    """All numbers, in spans (from the first one to below the second one) that have about `step` numbers of some sorted
    sequences each."""
    if sum(map(len, runs)) <= step:
        return [ALL]
    sample = sorted(number for run in runs for number in run[_SAMPLE // 2 :: _SAMPLE])
    bounds = [ALL[0], *dict.fromkeys(sample[step // _SAMPLE :: step // _SAMPLE]), ALL[1]]
    return list(pairwise(bounds))


ALL: Final = (0, 1 << 136)
"""The span of all numbers."""


def _different(old: Sequence[int], new: Sequence[int]) -> Steps[Sequence[int]]:
    """The numbers that are in only one of two sorted sequences, sorted."""
    if accel.AVAILABLE and isinstance(old, array) and isinstance(new, array):
        made: Sequence[int] = accel.prefix_sets.different(old, new)
        return made
    found: list[int] = []
    first = start = 0
    while first < len(old) or start < len(new):
        last = min(first + _STEP, len(old))
        stop = min(start + _STEP, len(new))
        # both end below the same number: that at which the one that goes less far ends
        if last < len(old) and (stop == len(new) or old[last] <= new[stop]):
            stop = bisect_left(new, old[last], start, stop)
        elif stop < len(new):
            last = bisect_left(old, new[stop], first, last)
        before, after = old[first:last], new[start:stop]
        if before != after:
            found += sorted(set(before).symmetric_difference(after))
        first, start = last, stop
        yield
    return found


def delta_of(old: Part, new: Part) -> Delta | None:
    """How a part differs from an old one; None if accel can't say that at once."""
    if not accel.AVAILABLE or old.afi != 1:
        return None
    gone, come = accel.prefix_sets.delta(old.order, new.order)
    return Delta(sorted(gone), sorted(come))


class Delta(NamedTuple):
    """How a part differs from the one of the same mask before: sorted numbers."""

    gone: Sequence[int]
    come: Sequence[int]


_MOST_IPV4: Final = 1 << 41
"""Above all numbers of IPv4 prefixes."""
Key = tuple[int, int]
"""AFI, and mask: the sum of the bits of the sets."""


class Partition:
    """Named sets, and their parts. It never changes: `changed` gives another one, which has all parts that stay.

    bits: the bit of each name. sets: the sets. parts: those that are not empty. before: the partition that this one was
    changed from, as long as it has not been changed itself. touched: by AFI, the sorted numbers that are in other sets
    than there.
    """

    def __init__(self, sets: Mapping[str, PrefixSet]) -> None:
        self.bits = {name: 1 << place for place, name in enumerate(sets)}
        self.sets = dict(sets)
        self.parts: dict[Key, Part] = {}
        self.lineage = object()
        """partitions that have it in common have the same bits for names, and deltas"""
        self._deltas: dict[Key, Delta] = {}
        self.before: Partition | None = None
        self.touched: dict[int, Sequence[int]] = {}
        for afi in AFIS:
            finish(self._part_anew(None, afi))

    def changed(self, sets: Mapping[str, PrefixSet | None]) -> Partition:
        """With other contents of these sets; None removes one. Gives itself if nothing differs."""
        return finish(self.changing(sets))

    def changing(self, sets: Mapping[str, PrefixSet | None]) -> Steps[Partition]:
        """The same in steps of some milliseconds."""
        real = {name: found for name, found in sets.items() if found != self.sets.get(name)}
        if not real:
            return self
        after = Partition.__new__(Partition)
        after.lineage = self.lineage
        after.sets = {name: found for name, found in {**self.sets, **real}.items() if found is not None}
        after.bits = {name: bit for name, bit in self.bits.items() if name in after.sets}
        for name in after.sets:  # a name that is gone leaves its bit to the next one that comes
            after.bits.setdefault(name, _free_bit(after.bits.values()))
        after.parts, after._deltas, after.before = {}, {}, self
        self.before = None
        after.touched = {}
        for afi in AFIS:
            after.touched[afi] = yield from self._touched(after, real, afi)
            anew = _ANEW_BY_ACCEL if accel.AVAILABLE and afi == 1 else _ANEW
            if len(after.touched[afi]) * anew > sum(len(part) for key, part in self.parts.items() if key[0] == afi):
                yield from after._part_anew(self, afi)
            else:
                yield from after._part_again(self, afi)
        return after

    def _touched(self, after: Partition, names: Iterable[str], afi: int) -> Steps[Sequence[int]]:
        """Sorted numbers that are in other sets than before."""
        differ = []
        for name in names:
            old, new = (each.sets.get(name, EMPTY).numbers(afi) for each in (self, after))
            differ.append((yield from _different(old, new)))
            yield
        found: Sequence[int] | None = None
        if accel.AVAILABLE and afi == 1:
            found = accel.prefix_sets.merged(differ)
        return compact(merged(differ), afi) if found is None else found

    def _part_anew(self, before: Partition | None, afi: int) -> Steps[None]:
        step = 0
        for mask, numbers in (yield from self._parting(afi)).items():
            old = before.parts.get((afi, mask)) if before is not None else None
            made = Part(numbers, afi)
            self.parts[afi, mask] = old if old is not None and old.order == made.order else made
            step += len(numbers)
            if step > _STEP:
                step = 0
                yield

    def _parting(self, afi: int) -> Steps[Mapping[int, Sequence[int]]]:
        """The sorted numbers that are in the same sets, by mask."""
        if accel.AVAILABLE and afi == 1:
            found = yield from self._parting_by_accel()
            if found is not None:
                return found
        masks: dict[int, int] = {}
        for name, prefixes in self.sets.items():
            bit = self.bits[name]
            for number in prefixes.numbers(afi):
                masks[number] = masks.get(number, 0) | bit
            yield
        numbers: dict[int, list[int]] = {}
        for place, (number, mask) in enumerate(masks.items()):
            numbers.setdefault(mask, []).append(number)
            if place % _STEP == 0:
                yield
        for found_numbers in numbers.values():
            found_numbers.sort()
            if len(found_numbers) * _PARTS > _STEP:
                yield
        return numbers

    def _parting_by_accel(self) -> Steps[dict[int, Sequence[int]] | None]:
        """The same of IPv4; None if there are too many sets."""
        sets = [prefixes.ipv4 for prefixes in self.sets.values()]
        places = [1 << place for place in range(len(sets))]
        found: dict[int, Sequence[int]] = {}
        for first, last in spans(sets, _ACCEL_STEP):
            if not accel.prefix_sets.part(found, sets, places, first, min(last, _MOST_IPV4)):
                return None
            yield
        names = tuple(self.sets)
        return {
            self.mask(name for place, name in enumerate(names) if places[place] & mask): numbers
            for mask, numbers in found.items()
        }

    def _part_again(self, before: Partition, afi: int) -> Steps[None]:
        """Takes over the parts that stay as they are."""
        self.parts |= {key: part for key, part in before.parts.items() if key[0] == afi}
        numbers = self.touched[afi]
        gone: dict[int, list[int]] = {}
        come: dict[int, list[int]] = {}
        old_masks = yield from before._masks(numbers, afi)
        new_masks = yield from self._masks(numbers, afi)
        for number in numbers:
            old, new = old_masks[number], new_masks[number]
            if old != new:
                gone.setdefault(old, []).append(number)
                come.setdefault(new, []).append(number)
        for mask in {*gone, *come} - {0}:
            key = afi, mask
            delta = self._deltas[key] = Delta(gone.get(mask, ()), come.get(mask, ()))
            part = before.parts[key].changed(delta) if key in before.parts else Part(delta.come, afi)
            if part:
                self.parts[key] = part
            else:
                self.parts.pop(key, None)
            if len(part) * _PARTS > _STEP:
                yield

    def known_delta(self, before: Partition, key: Key) -> Delta | None:
        """How the part of a mask differs from the one in the partition before; None if that was not found yet."""
        return self._deltas.get(key) if before is self.before else None

    def keep_delta(self, before: Partition, key: Key, delta: Delta) -> None:
        """For the next peer."""
        if before is self.before:
            self._deltas[key] = delta

    def mask(self, names: Iterable[str]) -> int:
        """The sum of the bits of those names that there are."""
        mask = 0
        for name in names:
            mask |= self.bits.get(name, 0)
        return mask

    def masks(self, numbers: Sequence[int], afi: int) -> dict[int, int]:
        """The masks of some sorted numbers, 0 for those that are in none of the sets."""
        return finish(self._masks(numbers, afi))

    def _masks(self, numbers: Sequence[int], afi: int) -> Steps[dict[int, int]]:
        masks = dict.fromkeys(numbers, 0)
        for name, found in self.sets.items():
            own = found.numbers(afi)
            few = len(masks) * FEW < len(own)
            for number in common(numbers, own) if few else filter(masks.__contains__, own):
                masks[number] |= self.bits[name]
            if not few:
                yield
        return masks

    def masks_within(self, numbers: Sequence[int], afi: int, mask: int) -> Steps[dict[int, int]]:
        """The masks of some sorted numbers, 0 for those that are in none of the sets of a mask; in steps of some
        milliseconds."""
        if not numbers:
            return {}
        parts = [(key[1], part) for key, part in self.within(mask) if key[0] == afi]
        if len(numbers) * FEW < sum(len(part) for _, part in parts):
            every = yield from self._masks(numbers, afi)
            return {number: found if found & mask else 0 for number, found in every.items()}
        masks = dict.fromkeys(numbers, 0)
        for found, part in parts:
            for number in filter(masks.__contains__, part.order):
                masks[number] = found
            if len(part) * _PARTS > _STEP:
                yield
        return masks

    def within(self, mask: int) -> Iterator[tuple[Key, Part]]:
        """The parts that are in one of the sets of a mask."""
        for key, part in self.parts.items():
            if key[1] & mask:
                yield key, part


def _free_bit(bits: Iterable[int]) -> int:
    used = 0
    for bit in bits:
        used |= bit
    return ~used & (used + 1)
