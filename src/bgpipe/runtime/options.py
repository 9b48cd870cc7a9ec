"""The options before the first stage."""

from __future__ import annotations

from ..pipeline.options import FLAG, LIST, TEXT, Option, Options, choice

LEVELS = ("trace", "debug", "info", "warn", "error", "fatal", "panic", "disabled")


class GlobalOptions(Options):
    """What is said of the whole pipeline."""

    version = Option(FLAG, False, "show the version and what is built in", short="v", env=False)
    explain = Option(FLAG, False, "show what the pipeline would do, and touch nothing", short="n", env=False)
    log = Option(
        choice(*LEVELS, aliases={"warning": "warn"}),
        "info",
        "log messages of this level and above",
        short="l",
        metavar="LEVEL",
    )
    log_format = Option(choice("text", "json"), "text", "log for people, or for programs: one JSON object a line")
    http = Option(TEXT, "", "show what goes on over HTTP, at this address: HOST:PORT or :PORT", metavar="ADDR")
    http_auth = Option(
        TEXT, "", "who may see it: user:password, $VARIABLE or /file that says so", metavar="AUTH", secret=True
    )
    http_open = Option(FLAG, False, "everybody may see it")
    events = Option(
        LIST,
        ("PARSE", "ESTABLISHED", "EOR"),
        "log these events instead; all for every event",
        short="e",
        metavar="EVENTS",
    )
    kill = Option(LIST, (), "end the process at once on any of these events", short="k", metavar="EVENTS")
    stdin = Option(FLAG, False, "read messages from standard input too", short="i")
    stdin_wait = Option(FLAG, False, "the same, when the session is established", short="I")
    stdout = Option(FLAG, False, "write what is left to standard output", short="o")
    stdout_wait = Option(FLAG, False, "the same, from the End-of-RIB on", short="O")
    short_asn = Option(FLAG, False, "AS numbers have 2 octets", short="2")
    guess_asn = Option(FLAG, False, "where AS numbers of 4 octets can't be read, try 2", short="g")
    caps = Option(TEXT, "", "capabilities that messages are read with: JSON as in an OPEN, or @FILE", metavar="JSON")
