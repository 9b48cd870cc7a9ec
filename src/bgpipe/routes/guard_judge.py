"""What becomes of UPDATEs and routes by the checks of the stage `guard`, and what it edits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from ..wire import attrs
from ..wire.attribute_edits import AttributeEditor, CommunityEdit, Edits
from ..wire.attrs.as_path import AsPath
from ..wire.communities import EXTENDED, GRACEFUL_SHUTDOWN, LARGE, NO_EXPORT, STANDARD, parse_pattern
from ..wire.errors import TextError
from ..wire.flags import FLAG_ADD_PATH
from ..wire.prefix import Prefix, parse_prefix
from ..wire.update import Update
from ..wire.update_body import join
from .guard_checks import ACTIONS, CHECKS, NAMES, Check, Rules, Sender, is_blackhole
from .plain_rib import BLACKHOLE, OUT, VERDICT_SHIFT, WANTED, Attributes, Route, announcement
from .prefix_lists import PrefixList, PrefixRange

NEEDED: Final = frozenset((attrs.ORIGIN, attrs.AS_PATH, attrs.NEXT_HOP, attrs.MP_REACH, attrs.MP_UNREACH))
PASS: Final = OUT | WANTED
HELD: Final = 1 << VERDICT_SHIFT
"""The state of a route that a check of the whole UPDATE holds back."""
OUTSIDE: Final = 2 << VERDICT_SHIFT
"""The state of one that a check of prefixes holds back."""
FIRST_CHECKS: Final = tuple(check for check in CHECKS if check.name in ("attributes", "first-as"))
"""Those that look at an UPDATE before it is edited."""
OTHER_CHECKS: Final = tuple(check for check in CHECKS if check.look is not None and check not in FIRST_CHECKS)
ROUTE_CHECKS: Final = tuple(check for check in CHECKS if check.route is not None)


Tell = Callable[[Check, str, int], str]
"""Gets what a check has found, and on how many routes or UPDATEs. Returns the action."""


class GuardJudge:
    """rules: what counts at the moment. actions: by the name of the check. held_back: checks that hold routes back.

    tell: see Tell. Without it, nobody hears of findings.
    """

    def __init__(self, rules: Rules, actions: dict[str, str], edits: Edits) -> None:
        self.rules = rules
        self.actions = actions
        self.edits = edits
        self.held_back = frozenset(name for name, action in actions.items() if action != "keep")
        self._editors: dict[tuple[bool, bool], AttributeEditor | None] = {}
        self._removers = _removers(rules.withdrawn_attributes)

    def _action(self, check: Check, text: str, count: int) -> str:
        return self.actions[check.name]

    def examine(self, update: Update, sender: Sender, tell: Tell | None = None) -> tuple[str, Update]:
        """What becomes of an UPDATE after the checks of all of it, "" if that is for those of its prefixes to say; and
        the UPDATE with edited attributes. Raises TextError if it gets too long."""
        action, update = self._look(FIRST_CHECKS, update, sender, tell or self._action)
        if action:
            return action, update
        return self._look(OTHER_CHECKS, self.edited(update), sender, tell or self._action)

    def _look(self, checks: Sequence[Check], update: Update, sender: Sender, tell: Tell) -> tuple[str, Update]:
        path: AsPath = update.as_path or AsPath()
        for check in checks:
            assert check.look is not None
            text = check.look(update, path, self.rules, sender)
            if not text:
                continue
            action = tell(check, text, 1)
            if action == "discard" and check.name in self._removers:
                update = Update(self._removers[check.name].edit(update.body, update.context), update.context)
            elif action != "keep":
                return action, update
        return "", update

    def edited(self, update: Update) -> Update:
        """Raises TextError if it gets too long."""
        marked = self.rules.gshut == "mark" and GRACEFUL_SHUTDOWN in (update.value(attrs.COMMUNITY) or ())
        key = is_blackhole(update, self.rules), marked
        if key not in self._editors:
            self._editors[key] = _editor(self.edits, *key)
        editor = self._editors[key]
        body = editor.edit(update.body, update.context) if editor is not None else update.body
        return update if body is update.body else Update(body, update.context)

    def bad_places(self, prefixes: Sequence[Prefix], blackhole: bool, tell: Tell | None = None) -> dict[int, str]:
        """The action for each route that must not pass, by its place. blackhole: see `is_blackhole`."""
        bad: dict[int, str] = {}
        found: dict[Check, list[Prefix]] = {}
        for place, prefix in enumerate(prefixes):
            for check in self._findings(prefix, blackhole):
                found.setdefault(check, []).append(prefix)
                if check.name in self.held_back:
                    bad.setdefault(place, self.actions[check.name])
        for check in ROUTE_CHECKS if tell is not None else ():
            if routes := found.get(check):
                assert tell is not None
                tell(check, str(routes[0]), len(routes))
        return bad

    def _findings(self, prefix: Prefix, blackhole: bool) -> list[Check]:
        rules = self.rules
        lifted = blackhole and rules.prefixes is not None and rules.prefixes.covers(prefix)
        return [each for each in ROUTE_CHECKS if each.route is not None and each.route(prefix, rules, lifted)]

    def state(self, route: Route, found: Attributes, sender: Sender, known: dict[Attributes, int]) -> int:
        """What is to become of a route of a table: PASS, HELD or OUTSIDE. known: that of attributes, PASS or HELD."""
        state = known.get(found)
        if state is None:
            nlri = bytes(5 if found.flags & FLAG_ADD_PATH else 1)
            update = Update(announcement(found, nlri), found.update().context)
            state = known[found] = HELD if self.examine(update, sender)[0] else PASS
        blackhole = self.rules.blackhole and bool(found.marks & BLACKHOLE)
        if state == PASS and self.bad_places((route.prefix,), blackhole):
            return OUTSIDE
        return state


def parse_action(text: str) -> tuple[str, str]:
    """Raises TextError."""
    name, _, action = text.partition("=")
    if name not in NAMES or action not in ACTIONS:
        raise TextError(f"--on {text}: CHECK=ACTION is expected, of {', '.join(NAMES)} and {', '.join(ACTIONS)}")
    return name, action


def parse_codes(option: str, words: Sequence[str]) -> frozenset[int]:
    """The type codes of attributes. Raises TextError."""
    found: set[int] = set()
    for word in words:
        if word == "unknown":
            found |= set(range(256)) - set(attrs.KNOWN)
        else:
            found.add(_code(option, word))
    if wrong := found & NEEDED:
        raise TextError(f"--{option}: {attrs.TABLE[min(wrong)].name} is needed by every route")
    return frozenset(found)


def _code(option: str, word: str) -> int:
    """The type code that a number or a name means: that of the JSON, with or without the underscores of the RFCs."""
    if word.isascii() and word.isdigit() and len(word) <= 3 and int(word) < 256:
        return int(word)
    with suppress(TextError):
        return attrs.parse_name(word)
    plain = word.upper().replace("_", "").replace("-", "")
    for name, code in attrs.CODES.items():
        if name.replace("_", "") == plain:
            return code
    text = "a type code to 255, a name as in the JSON of UPDATEs, or unknown is expected"
    raise TextError(f"--{option}: {word!r} is no attribute: {text}")


def parse_hops(words: Sequence[str]) -> tuple[bool, PrefixList | None]:
    """Whether the address of the peer may be a next hop, and the networks whose addresses may; (False, None) for all
    addresses. Raises TextError."""
    networks = []
    for word in words:
        if word in ("any", "peer"):
            continue
        try:
            prefix = parse_prefix(word if "/" in word else f"{word}/{128 if ':' in word else 32}")
        except TextError:
            raise TextError(f"--next-hop: {word!r}: any, peer, an address or a network is expected") from None
        networks.append(PrefixRange(prefix, prefix.length, prefix.length))
    if "any" in words:
        return False, None
    return "peer" in words, PrefixList(networks) if networks else None


def parse_scrubbing(texts: Sequence[str]) -> list[tuple[str, CommunityEdit]]:
    """Raises TextError."""
    found: dict[str, list[Any]] = {STANDARD: [], EXTENDED: [], LARGE: []}
    for text in texts:
        errors = []
        for kind, patterns in found.items():
            try:
                patterns += parse_pattern(text, kind)
            except TextError as error:
                errors.append(error)
        if len(errors) == len(found):
            raise TextError(f"--scrub: {errors[0]}")
    return [(kind, CommunityEdit(drop=tuple(patterns))) for kind, patterns in found.items() if patterns]


def _editor(edits: Edits, blackhole: bool, marked: bool) -> AttributeEditor | None:
    """What edits UPDATEs with and without the community BLACKHOLE, and GRACEFUL_SHUTDOWN where that is marked."""
    if blackhole:
        communities = dict(edits.communities)
        standard = communities.get(STANDARD, CommunityEdit())
        communities[STANDARD] = standard._replace(add=(NO_EXPORT,))
        edits = replace(edits, communities=tuple(communities.items()))
    if marked:
        edits = replace(edits, numbers=((attrs.LOCAL_PREF, 0),))
    edited = edits.strip_as or edits.communities or edits.remove or edits.strip_unknown or edits.numbers
    return AttributeEditor(edits) if edited else None


def _removers(codes: frozenset[int]) -> dict[str, AttributeEditor]:
    """What a check of single attributes discards, instead of the routes that have them."""
    communities = frozenset((attrs.COMMUNITY, attrs.EXT_COMMUNITY, attrs.LARGE_COMMUNITY))
    shutdown = CommunityEdit(drop=parse_pattern("graceful-shutdown", STANDARD))
    return {
        "attributes": AttributeEditor(Edits(remove=codes)),
        "communities": AttributeEditor(Edits(remove=communities)),
        "gshut": AttributeEditor(Edits(communities=((STANDARD, shutdown),))),
    }


def without_routes(update: Update) -> list[bytes]:
    """A body with what an UPDATE withdraws, none if it withdraws nothing."""
    unreach = update.attrs.get(attrs.MP_UNREACH)
    withdrawn = update.parts()[0]
    return [join(withdrawn, unreach.encode() if unreach is not None else b"", b"")] if withdrawn or unreach else []
