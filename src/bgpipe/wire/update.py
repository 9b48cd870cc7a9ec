"""The UPDATE message: its body as it is read (update_body.py), what is wrong with it, and how one is made.

JSON: {"reach":[...],"unreach":[...],"attrs":{...}}, see attribute_json.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from . import attrs as table
from . import validation
from .attribute_json import attributes_from_json, format_attributes
from .context import AS4, HEADER, WireContext
from .errors import Reaction, TextError, WireError
from .family import IPV4_UNICAST
from .prefix import Prefix, PrefixLike, encode_prefixes, format_prefixes
from .update_body import UpdateBody, join


class Update(UpdateBody):
    """The body of an UPDATE message. Octets are decoded when a property asks for them.

    list_errors: errors of the list of path attributes, found when `attrs` is read for the first time.
    """

    __slots__ = ()

    @classmethod
    def decode(cls, body: bytes, context: WireContext = AS4) -> Update:
        """An Update of these octets. Nothing is decoded yet."""
        return cls(body, context)

    # What is wrong with it

    @property
    def errors(self) -> list[WireError]:
        """All errors that don't depend on whether the peer is external, each with its reaction (RFC 7606)."""
        return validation.validate(self)

    @property
    def reaction(self) -> Reaction | None:
        """The strongest of the reactions to `errors` (RFC 7606 section 3(h)); None if there are none."""
        return validation.strongest(self.errors)

    def check(self, peer: str | None = None) -> list[WireError]:
        """All errors in the order in which they are found, each with its reaction (RFC 7606). peer: "ebgp", "ibgp", or
        None for either."""
        return validation.validate(self, peer)

    # Octets

    def encode(self, context: WireContext | None = None) -> bytes:
        """The body, encoded for `context`. The octets stay as they are unless the width of AS numbers or ADD-PATH
        differ."""
        if context is None or context is self._context or context == self._context:
            return self._body
        from .compose import recode

        return recode(self, context)

    def encode_split(self, context: WireContext | None = None) -> list[bytes]:
        """As `encode`, split into several bodies if one would be too long for a message of `context`.

        Withdrawals come first, then announcements, each part with all path attributes. Raises WireError
        (treat-as-withdraw) if these are so many that no prefix has a place beside them.
        """
        context = context or self._context
        body = self.encode(context)
        room = context.max_message - HEADER
        if len(body) <= room:
            return [body]
        from .compose import split

        return list(split(Update(body, context), room))

    # JSON

    def format_json(self) -> str:
        """One line of strict JSON. Raises WireError if the sections or the NLRI fields can't be decoded."""
        start, end = self._bounds or self.sections()
        body = self._body
        context = self._context
        text = ""
        sound = True
        if end < len(body):
            prefixes = format_prefixes(body, 1, IPV4_UNICAST in context.add_path, end)
            text = '"reach":["' + '","'.join(prefixes) + '"]'
        if start > 2:
            prefixes = format_prefixes(body, 1, IPV4_UNICAST in context.add_path, 2, start)
            text += (',"unreach":["' if text else '"unreach":["') + '","'.join(prefixes) + '"]'
        if start + 2 < end:
            members, sound = format_attributes(
                body[start + 2 : end], self.attribute_octets, self.attribute, context, self.sound
            )
            text += "," + members if text else members
        self.sound = sound
        return "{" + text + "}"

    @classmethod
    def from_json(cls, item: object, context: WireContext = AS4) -> bytes:
        """The octets of the body for a JSON object. null and unknown keys are ignored. Raises TextError."""
        if not isinstance(item, dict):
            raise TextError(f"not an object: {item!r}")
        add_path = IPV4_UNICAST in context.add_path
        fields = []
        for key in ("unreach", "reach"):
            texts = item.get(key)
            if texts is None:
                texts = []
            if not isinstance(texts, list) or not all(isinstance(text, str | None) for text in texts):
                raise TextError(f"{key}: not a list of prefixes: {texts!r}")
            fields.append(encode_prefixes([text for text in texts if text is not None], 1, add_path))
        section = attributes_from_json(item.get("attrs"), item.get("raw_attrs"), context)
        return join(fields[0], section, fields[1])

    # Making one

    @classmethod
    def make(
        cls,
        *,
        reach: Iterable[PrefixLike] = (),
        withdrawn: Iterable[PrefixLike] = (),
        attrs: Mapping[str | int, Any] | None = None,
        next_hop: str | None = None,
        context: WireContext = AS4,
    ) -> Update:
        """Makes an UPDATE. attrs: attributes by name or type code, with values as in JSON. Raises TextError.

        IPv6 prefixes go into MP_REACH_NLRI and MP_UNREACH_NLRI, and so do IPv4 ones with an IPv6 `next_hop`
        (RFC 8950). IPv6 and IPv4 can be announced together only by an IPv6 next hop.
        """
        empty = cls(bytes(4), context)
        return empty.replace(
            reach=list(reach) or None, withdrawn=list(withdrawn) or None, attrs=attrs, next_hop=next_hop
        )

    def replace(
        self,
        *,
        reach: Iterable[PrefixLike] | None = None,
        withdrawn: Iterable[PrefixLike] | None = None,
        attrs: Mapping[str | int, Any] | None = None,
        next_hop: str | None = None,
    ) -> Update:
        """A copy with other prefixes, attributes or next hop. Raises TextError, WireError.

        An attribute is a value as in JSON, which keeps the flags, or {"flags":F,"value":V}, or an Attribute. None
        removes the attribute.

        Everything else keeps its octets: order, flags, unknown attributes. New attributes come last.
        """
        from .compose import replace

        return Update(replace(self, reach, withdrawn, attrs or {}, next_hop), self._context)

    def withdraw(self, prefixes: Iterable[Prefix] | None = None) -> Update:
        """A copy that withdraws these prefixes instead of announcing them; None means all prefixes that it announces.

        If no route is announced any more, the path attributes are removed. An UPDATE that announces nothing stays as it
        is. Raises WireError; TextError if what is announced and what is withdrawn already are of two families that one
        UPDATE can't withdraw together.
        """
        reach = self.reach
        mp_reach = self.attrs.get(table.MP_REACH)
        announces_more = mp_reach is not None and not mp_reach.value.family.address_bits
        if not reach and (prefixes is not None or not announces_more):
            return self
        if prefixes is None:
            from .treatment import withdraw

            first, *more = withdraw(self)
            if more:
                raise TextError("one UPDATE can't withdraw prefixes of two families: make one for each")
            return Update(first, self._context)
        gone = set(prefixes)
        left = [prefix for prefix in reach if prefix not in gone]
        withdrawn = self.withdrawn + [prefix for prefix in reach if prefix in gone]
        kept = self.attrs.keys() if left or announces_more else {table.MP_REACH, table.MP_UNREACH}
        bare: dict[str | int, Any] = dict.fromkeys(self.attrs.keys() - kept)
        return self.replace(reach=left, withdrawn=withdrawn, attrs=bare)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Update) and self._body == other._body and self._context == other._context

    def __hash__(self) -> int:
        return hash(self._body)

    def __repr__(self) -> str:
        try:
            return f"<Update {self.format_json()}>"
        except WireError as error:
            return f"<Update of {len(self._body)} octets: {error}>"
