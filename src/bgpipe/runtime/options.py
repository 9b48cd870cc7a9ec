"""The options before the first stage."""

from __future__ import annotations

from ..pipeline.options import FLAG, LIST, TEXT, Option, Options, choice

LEVELS = ("trace", "debug", "info", "warn", "error", "fatal", "panic", "disabled")


class GlobalOptions(Options):
    """The options before the first stage."""

    version = Option(FLAG, False, "show the version, and whether the compiled part is there", short="v", env=False)
    explain = Option(
        FLAG, False, "show what the pipeline would do; open no file and no connection", short="n", env=False
    )
    log = Option(
        choice(*LEVELS, aliases={"warning": "warn"}),
        "info",
        "write log lines of this level and above",
        short="l",
        metavar="LEVEL",
    )
    log_format = Option(choice("text", "json"), "text", "format of the log: text, or one JSON object a line")
    http = Option(
        TEXT, "", "serve status pages and metrics over HTTP at this address: HOST:PORT or :PORT", metavar="ADDR"
    )
    http_auth = Option(
        TEXT, "", "user and password for --http: user:password, $VARIABLE or /file", metavar="AUTH", secret=True
    )
    http_open = Option(FLAG, False, "serve --http without a password")
    events = Option(
        LIST,
        ("PARSE", "ESTABLISHED", "EOR"),
        "log these events; all means every event",
        short="e",
        metavar="EVENTS",
    )
    kill = Option(LIST, (), "end the process at once on any of these events", short="k", metavar="EVENTS")
    stdin = Option(FLAG, False, "read messages from standard input too", short="i")
    stdin_wait = Option(FLAG, False, "like --stdin, but start when the session is established", short="I")
    stdout = Option(FLAG, False, "print the messages that have passed all stages", short="o")
    stdout_wait = Option(FLAG, False, "like --stdout, but start at the End-of-RIB", short="O")
    merge = Option(FLAG, False, "read all inputs side by side, and let their messages go on in the order of time")
    short_asn = Option(FLAG, False, "read AS numbers of 2 octets, not 4", short="2")
    guess_asn = Option(FLAG, False, "if an AS path can't be read with AS numbers of 4 octets, try 2", short="g")
    caps = Option(
        TEXT, "", "read messages as if these capabilities were agreed: JSON as in an OPEN, or @FILE", metavar="JSON"
    )
