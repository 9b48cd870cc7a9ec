"""The command `bgplite`."""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from .. import __version__
from ..pipeline.errors import ConfigError, StageError
from ..runtime.log import StderrLog
from .extra import missing

SHELL = (
    *("peers", "groups", "sessions", "sources", "routes", "why", "try", "setup", "import", "export"),
    *("tokens", "audit", "events"),
)
"""First words of the commands that ask a running bgplite; see shell.commands."""


def main(words: Sequence[str] | None = None) -> int:
    """Exit codes: 0 all is well, 1 something failed, 2 the command line or the configuration has faults."""
    words = sys.argv[1:] if words is None else list(words)
    if words and words[0] in SHELL:
        return shell(words)
    command = words.pop(0) if words[:1] == ["check"] else "run"
    options = parser(command).parse_args(words)
    if why := missing():
        sys.stderr.write(f"bgplite: {why}\n")
        return 1
    from .yaml_records import ConfigFaults

    log = StderrLog(options.log)
    log.format = options.log_format
    try:
        return check(options.config) if command == "check" else run(options.config, log)
    except ConfigFaults as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except (ConfigError, StageError, OSError) as error:
        if isinstance(error, FileNotFoundError) and error.filename == str(options.config):
            sys.stderr.write(f"bgplite: {no_file(options.config)}\n")
        else:
            log.error(str(error))
        return 1
    except KeyboardInterrupt:
        return 1


def no_file(path: Path) -> str:
    """What to do where there is no configuration."""
    text = f"{path}: there is no such file"
    if meant := difflib.get_close_matches(str(path), (*SHELL, "check"), 1, 0.7):
        return f"{text}, and no such command; did you mean bgplite {meant[0]}?"
    return f"{text}; a configuration begins with Bgp: {{Asn: 65000, RouterId: 192.0.2.1}}, see docs/routeserver.md"


def shell(words: Sequence[str]) -> int:
    """One of the commands that ask a running bgplite."""
    from .shell.commands import run

    try:
        return run(words)
    except StageError as error:
        sys.stderr.write(f"bgplite: {error}\n")
        return 1
    except BrokenPipeError:  # who reads has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except KeyboardInterrupt:
        return 0 if words[0] == "events" else 130  # it has no other end


def parser(command: str) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="bgplite" if command == "run" else f"bgplite {command}",
        usage=None if command != "run" else "bgplite [check] [-h] [-v] [-l LEVEL] [--log-format FORMAT] [CONFIG]",
        description="A BGP route server that announces curated prefix sets to peers that subscribe over HTTP. "
        "bgplite check CONFIG only tells whether the configuration can be used. "
        f"A running one is asked by bgplite {', '.join(SHELL)}: see bgplite peers -h.",
        epilog="State is kept in ./data, or in the folder that BGPLITE_DATA names.",
    )
    made.add_argument(
        "config", nargs="?", type=Path, default=Path("appsettings.yml"), metavar="CONFIG", help="the configuration"
    )
    made.add_argument("-l", "--log", choices=("debug", "info", "warn", "error"), default="info", help="log level")
    made.add_argument("--log-format", choices=("text", "json"), default="text", help="form of the log")
    made.add_argument("-v", "--version", action="version", version=f"bgplite {__version__}")
    return made


def check(path: Path) -> int:
    """Whether the configuration can be used. Raises ConfigFaults, OSError."""
    from .config_file import load

    config = load(path)
    peers, lists = len(config.peers), len(config.prefix_sources)
    sys.stdout.write(f"{path}: AS{config.bgp.asn}, {lists} lists, {peers} peers: no faults\n")
    return 0


def run(path: Path, log: StderrLog) -> int:
    """Raises ConfigFaults, OSError, StageError."""
    from ..runtime.process import serve
    from .config_file import load
    from .service import RouteServerService

    serve(RouteServerService(path, load(path), log), log)
    return 0
