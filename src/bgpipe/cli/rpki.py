"""The command `bgpipe rpki`: what the sources of --rpki say of a route, and why."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from ..net.rpki.sources import load
from ..pipeline.errors import StageError, UsageError
from ..pipeline.options import DURATION, FLAG, Option, choice
from ..rpki.aspa import ROLES, Hop, PathValidity
from ..rpki.current import Rpki
from ..rpki.snapshot import Snapshot
from ..rpki.vrps import Validity
from ..rpki.why import DOWNSTREAM, MATCHES, UPSTREAM, OriginReasons, PathReasons, explain_origin, explain_path
from ..runtime.log import StderrLog
from ..runtime.options import GlobalOptions
from ..runtime.rpki import rpki_settings
from ..tasks import run
from ..wire.attrs.as_path import AsPath, make_path
from ..wire.errors import TextError
from ..wire.prefix import Prefix, parse_prefix

INVALID_CODE: Final = 3
"""The exit code for a route that is invalid."""
HELP: Final = """\
Usage: bgpipe rpki [OPTIONS] [PREFIX [AS ...]]

Says what the sources of --rpki say of a route, and why. AS ... is its path, from the neighbor to the origin; {AS,AS} is
an AS_SET. Without a path, the VRPs around the prefix are shown; without a prefix, the sources and how many VRPs and
ASPAs they have.

  bgpipe rpki --rpki vrps.json 192.0.2.0/24 65001

Exit codes: 0 the route is not invalid, 1 there are no RPKI data, 2 wrong command line, 3 it is invalid.
"""
NEIGHBOURS: Final = {UPSTREAM: "from a customer, a peer, a route server or its client", DOWNSTREAM: "from a provider"}
ATTESTED: Final = {
    Hop.PROVIDER: "AS{1} is an attested provider of AS{0}",
    Hop.NOT_PROVIDER: "AS{1} is not a provider of AS{0}, whose ASPA has others",
    Hop.NO_ATTESTATION: "AS{0} has no ASPA",
}


class RpkiOptions(GlobalOptions):
    """The options of `bgpipe rpki`."""

    json = Option(FLAG, False, "print one JSON object", env=False)
    role = Option(
        choice("any", *ROLES), "any", "what the neighbor is to us, for the path; any: both procedures", env=False
    )
    timeout = Option(DURATION, 30.0, "wait so long for the sources", env=False)


class Question(NamedTuple):
    """prefix, path: None if nothing is asked about them."""

    prefix: Prefix | None
    path: AsPath | None


class Answer(NamedTuple):
    """What is said of a question. paths: one for each kind of neighbour that was asked about."""

    rpki: Rpki
    question: Question
    origin: OriginReasons | None
    paths: list[PathReasons]

    @property
    def is_invalid(self) -> bool:
        """Whether the origin is, or the path is from whatever neighbour was asked about."""
        if self.origin is not None and self.origin.validity is Validity.INVALID:
            return True
        return bool(self.paths) and all(each.verdict.validity is PathValidity.INVALID for each in self.paths)


def ask(words: Sequence[str], options: GlobalOptions, log: StderrLog) -> tuple[str, int]:
    """What is printed, and the exit code. words: those behind `rpki`. options: those before it. Raises UsageError,
    ConfigError, StageError."""
    asked, arguments = read_words(words, options)
    if asked.help:
        return help_text(), 0
    log.level = asked.log if "log" in asked.explicit else "warn"
    question = read_question(arguments)
    rpki = run(load(rpki_settings(asked), log, asked.timeout))
    if rpki.error:
        raise StageError(f"no RPKI data: {rpki.error}")
    answer = answer_question(rpki, question, asked.role)
    text = to_json(answer) if asked.json else "".join(f"{line}\n" for line in to_text(answer))
    return text, INVALID_CODE if answer.is_invalid else 0


def read_words(words: Sequence[str], options: GlobalOptions) -> tuple[RpkiOptions, list[str]]:
    """The options, which may stand anywhere, and the other words. Raises UsageError."""
    found, arguments = RpkiOptions(), []
    found.values = dict(options.values)
    rest = found.scan(words)
    found.explicit |= options.explicit
    while rest:
        arguments.append(rest[0])
        rest = found.scan(rest[1:])
    return found, [word for word in arguments if word != "--"]


def read_question(words: Sequence[str]) -> Question:
    """Raises UsageError."""
    if not words:
        return Question(None, None)
    try:
        prefix = parse_prefix(words[0])
        if prefix.path_id is not None:
            raise TextError(f"{words[0]!r} has a path identifier")
    except TextError as error:
        raise UsageError(f"rpki: a prefix is expected, as in 192.0.2.0/24: {error}") from None
    return Question(prefix, read_path(words[1:]) if len(words) > 1 else None)


def read_path(words: Sequence[str]) -> AsPath:
    """Raises UsageError."""
    hops: list[int | tuple[int, ...]] = []
    for word in words:
        if word[:1] + word[-1:] in ("[]", "{}"):
            hops.append(tuple(map(_read_asn, word[1:-1].split(","))))
        else:
            hops.append(_read_asn(word))
    return make_path(*hops)


def _read_asn(word: str) -> int:
    found = re.fullmatch(r"(?:AS)?([0-9]{1,10})", word.strip(), re.IGNORECASE)
    if found is None or int(found[1]) > 0xFFFFFFFF:
        raise UsageError(f"rpki: an AS number is expected, as in 65001: {word!r}")
    return int(found[1])


def answer_question(rpki: Rpki, question: Question, role: str) -> Answer:
    snapshot = rpki.snapshot
    origin = None
    if question.prefix is not None:
        origin = explain_origin(snapshot, question.prefix, question.path)
    roles = (UPSTREAM, DOWNSTREAM) if role == "any" else (role,)
    path = question.path
    wanted = path is not None and (role != "any" or len(path.ases) > 1)
    paths = [explain_path(snapshot, path, each) for each in roles] if path is not None and wanted else []
    return Answer(rpki, question, origin, paths)


def to_text(answer: Answer) -> Iterator[str]:
    if answer.origin is not None:
        yield from _origin_text(answer.origin, answer.question)
    for each in answer.paths:
        yield from _path_text(each, answer)
    for state in answer.rpki.sources():
        if state.active:
            yield f"by {state.name}: {_counts(answer.rpki.snapshot)}"
        elif answer.origin is None or state.error:
            yield f"{state.name}: {state.error.removeprefix(f'{state.name}: ') or 'not asked'}"


def _counts(snapshot: Snapshot) -> str:
    return f"{snapshot.count(1)} VRPs for IPv4, {snapshot.count(2)} for IPv6, {len(snapshot.aspas)} ASPAs"


def _origin_text(found: OriginReasons, question: Question) -> Iterator[str]:
    origin = f" from AS{found.origin}" if found.origin is not None else ""
    verdict = f"{found.validity.name}, " if found.validity is not None else ""
    yield f"{found.prefix}{origin}: {verdict}{found.summary}"
    for vrp, reason in found.reasons:
        yield f"  {vrp}: {reason}"


def _path_text(found: PathReasons, answer: Answer) -> Iterator[str]:
    neighbour = NEIGHBOURS[found.neighbour] if len(answer.paths) > 1 else f"--role {found.neighbour}"
    yield f"path {path_text(found.path)}, {neighbour}: {found.verdict.validity.name}, {found.summary}"
    for each in found.hops:
        up = ATTESTED[each.up].format(each.right, each.left)
        down = f"; {ATTESTED[each.down].format(each.left, each.right)}" if found.neighbour == DOWNSTREAM else ""
        yield f"  {up}{down}"


def path_text(path: AsPath) -> str:
    return " ".join("{" + ",".join(map(str, hop)) + "}" if isinstance(hop, tuple) else str(hop) for hop in path.hops)


def to_json(answer: Answer) -> str:
    import json

    snapshot = answer.rpki.snapshot
    told: dict[str, Any] = {}
    if (found := answer.origin) is not None:
        told |= {"prefix": str(found.prefix), "origin": found.origin}
        told["validity"] = found.validity.name if found.validity is not None else None
        told["reason"] = found.summary
        told["vrps"] = [
            {
                "prefix": str(vrp.prefix),
                "maxLength": vrp.max_length,
                "asn": vrp.asn,
                "matches": reason == MATCHES,
                "reason": reason,
            }
            for vrp, reason in found.reasons
        ]
    if (path := answer.question.path) is not None:
        told["path"] = path_text(path)
        told["aspa"] = [_path_json(each) for each in answer.paths]
    told["sources"] = [
        {key: value for key, value in state._asdict().items() if value is not None} for state in answer.rpki.sources()
    ]
    told |= {"vrps_ipv4": snapshot.count(1), "vrps_ipv6": snapshot.count(2), "aspa_entries": len(snapshot.aspas)}
    return json.dumps(told) + "\n"


def _path_json(found: PathReasons) -> dict[str, Any]:
    verdict = found.verdict
    return {
        "neighbor": found.neighbour,
        "validity": verdict.validity.name,
        "reason": found.summary,
        "invalid_hop": list(verdict.hop) if verdict.hop is not None else None,
        "hops": [
            {"left": each.left, "right": each.right, "up": each.up.value, "down": each.down.value}
            for each in found.hops
        ],
    }


def help_text() -> str:
    from .help import describe

    declared = RpkiOptions.declared()
    names = ("json", "role", "timeout", *(name for name in declared if name.startswith("rpki")), "log", "help")
    return "\n".join((HELP, "Options:", *describe({name: declared[name] for name in names}))) + "\n"
