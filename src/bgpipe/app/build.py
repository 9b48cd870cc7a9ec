"""Makes an attached pipeline from a specification."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..pipeline import events
from ..pipeline.errors import ConfigError
from ..pipeline.events import Event, expand_all
from ..pipeline.log import Log
from ..pipeline.pipeline import Pipeline
from ..pipeline.shared import Shared
from ..pipeline.stage import Stage
from ..pipeline.wiring import attach
from ..runtime.options import GlobalOptions
from ..wire.context import AS4, WireContext
from .spec import PipelineSpec

if TYPE_CHECKING:
    from ..wire.caps import Capability

MAX_LOGGED = 10
"""This many malformed messages are logged in full; more are counted."""


def build(spec: PipelineSpec, log: Log, *, exchanged: bool = False, shared: Shared | None = None) -> Pipeline:
    """A new pipeline each time. exchanged: its first and its last stage change places. shared: what it shares with
    others, which its stages may ask for from the beginning. Raises ConfigError."""
    options = spec.options
    if not options.http and options.explicit & {"http-auth", "http-open"}:  # in the environment they may be for others
        raise ConfigError("--http-auth and --http-open need --http")
    capabilities = parse_capabilities(options.caps) if options.caps else ()
    pipeline = Pipeline(log=log, context=make_context(options, capabilities), capabilities=capabilities)
    pipeline.shared = shared or pipeline.shared
    pipeline.merges = options.merge
    uses = {stage.uses for stage in spec.stages}
    wants_stdin = options.stdin or options.stdin_wait
    wants_stdout = options.stdout or options.stdout_wait
    for name in uses & {"stdin" if wants_stdin else "", "stdout" if wants_stdout else ""} - {""}:
        raise ConfigError(f"--{name} and a stage {name} exclude each other")
    if not any(stage.takes for stage in (*spec.stages, *spec.observers)):
        wants_stdout = True  # nobody else would have a use for the messages
    if wants_stdin:
        pipeline.add(hidden("stdin", options.stdin_wait and "ESTABLISHED"), index=0, hidden=True)
    row = [stage.duplicate() for stage in spec.stages]
    pipeline.exchanged = exchanged
    if exchanged:
        row[0].index, row[-1].index = row[-1].index, row[0].index
        row[0], row[-1] = row[-1], row[0]
    for stage in row:
        pipeline.add(stage, index=stage.index)
    if wants_stdout:
        pipeline.add(hidden("stdout", options.stdout_wait and "EOR"), index=0, hidden=True)
    for observer in spec.observers:
        pipeline.add(observer.duplicate(), index=0, hidden=True)
    told = expand_all(options.events, events.STAGE_EVENTS)
    usual = options.events == GlobalOptions.events.default
    pipeline.bus.on(told, spec.on_event or log_event(pipeline), late=usual and spec.on_event is None)
    kills = expand_all(options.kill, ("STOP",))
    pipeline.bus.on(kills, lambda event: pipeline.kill(event.name, event))
    pipeline.want(kills)
    if not usual:
        pipeline.want(told)
    attach(pipeline)
    return pipeline


def hidden(name: str, wait: str | bool) -> Stage:
    """The stage that -i or -o stands for."""
    from ..stages import find

    found = find(name)
    assert found is not None
    stage = found(name)
    words = ["--left", "--right"]
    if name == "stdin":
        words.append("--new=first")
    if wait:
        words.append(f"--wait={wait}")
    stage.scan(words)
    return stage


def make_context(options: GlobalOptions, capabilities: Sequence[Capability]) -> WireContext:
    """The context for messages whose format does not say how to read them: --short-asn, --guess-asn, --caps. Raises
    ConfigError."""
    if not (capabilities or options.short_asn or options.guess_asn):
        return AS4
    from ..wire import negotiation

    families = negotiation.contexts(capabilities).right.add_path if capabilities else AS4.add_path
    return WireContext(as4=not options.short_asn, add_path=families, guess_as=options.guess_asn)


def parse_capabilities(text: str) -> tuple[Capability, ...]:
    """Capabilities as JSON, or as @FILE of it. Raises ConfigError."""
    import json

    from ..wire import caps, negotiation
    from ..wire.errors import TextError, WireError

    try:
        if text.startswith("@"):
            with open(text[1:], encoding="utf-8") as file:
                text = file.read()
        capabilities = caps.from_json(json.loads(text))
        negotiation.contexts(capabilities)
    except OSError as error:
        raise ConfigError(f"--caps: {text[1:]}: {error.strerror}") from None
    except (ValueError, TextError, WireError) as error:
        raise ConfigError(f"--caps: {error}") from None
    return capabilities


def log_event(pipeline: Pipeline) -> Callable[[Event], None]:
    """A handler that logs events; of malformed messages only the first ones."""
    malformed = 0

    def handle(event: Event) -> None:
        nonlocal malformed
        if event.name == events.PARSE:
            malformed += 1
            if malformed > MAX_LOGGED:
                return
        fields: dict[str, object] = {}
        if event.error is not None:
            more = event.values if event.name == events.PARSE else ()  # what else can't be decoded
            fields["error"] = "; ".join(map(str, (event.error, *more)))
        if event.values and event.name != events.PARSE:
            fields["vals"] = ",".join(map(str, event.values))
        if event.direction:
            fields["evdir"] = event.direction
        fields["evseq"] = event.seq
        if event.stage:
            fields["stage"] = event.stage
        if event.message is not None:
            fields["msg"] = describe(event)
        log = pipeline.log
        (log.error if event.error is not None else log.info)(f"event {event.name}", **fields)
        if malformed == MAX_LOGGED:
            malformed += 1
            log.warning("more malformed messages are only counted")

    return handle


def describe(event: Event) -> str:
    """The message of an event as JSON."""
    from ..formats.json_encoder import JsonEncoder

    assert event.message is not None
    return JsonEncoder().encode_message(event.message).decode().rstrip()
