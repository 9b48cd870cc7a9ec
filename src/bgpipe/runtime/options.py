"""The options before the first stage."""

from __future__ import annotations

from ..pipeline.options import DURATION, FLAG, LIST, TEXT, Option, Options, choice

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
    rpki = Option(
        LIST,
        ("rtr.rpki.cloudflare.com:8282",),
        "where VRPs and ASPAs come from, the best source first: HOST:PORT or tls://HOST:PORT (RTR), a URL or a file",
        metavar="SRC",
    )
    rpki_refresh = Option(DURATION, 0.0, "ask a source again after so long; by default as a cache says, or 1h")
    rpki_retry = Option(DURATION, 0.0, "call a source again at most so long after a failure; by default 10m")
    rpki_expire = Option(DURATION, 0.0, "RPKI data are too old after so long; by default as a cache says, or 2h")
    rpki_stale = Option(choice("keep", "drop"), "keep", "what becomes of RPKI data that are too old")
    rpki_shrink = Option(FLAG, False, "take data that have shrunk by more than half at once, without a second fetch")
    rpki_slurm = Option(TEXT, "", "local exceptions to RPKI data, in a SLURM file (RFC 8416)", metavar="FILE")
    rpki_version = Option(choice("0", "1", "2"), "2", "the highest version of RTR to speak", metavar="0|1|2")
    rpki_bind = Option(TEXT, "", "connect to sources from this address", metavar="IP")
    rpki_md5 = Option(
        TEXT, "", "sign RTR with TCP MD5 (RFC 2385): the key, $VARIABLE or /file", metavar="KEY", secret=True
    )
    rpki_ca = Option(TEXT, "", "trust these authorities for tls:// and https://, in PEM", metavar="FILE")
    rpki_cert = Option(TEXT, "", "the certificate for a cache or server that asks for one, in PEM", metavar="FILE")
    rpki_key = Option(TEXT, "", "the key of that certificate, if it is in another file", metavar="FILE")
    rpki_insecure = Option(FLAG, False, "accept any certificate of a cache or server")
