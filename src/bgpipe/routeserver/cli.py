"""The command `bgplite`."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .. import __version__
from ..net.errors import explain
from ..pipeline.errors import ConfigError, StageError
from ..runtime.log import StderrLog
from ..runtime.standard_streams import leave_standard_output, open_standard_streams, show
from .extra import missing
from .shell.parser import Parser

if TYPE_CHECKING:
    from .config import Config

SHELL = (
    *("peers", "groups", "sessions", "sources", "routes", "why", "try", "setup", "import", "export"),
    *("tokens", "audit", "events"),
)
"""First words of the commands that ask a running bgplite; see shell.commands."""
_OF_SHELL: Final = {"--api": 2, "--token": 2, "--json": 1}
_OPTIONS: Final = _OF_SHELL | {"-l": 2, "--log": 2, "--log-format": 2}
"""Options that may stand before the command, and how many words each is."""


def main(words: Sequence[str] | None = None) -> int:
    """Exit codes: 0 all is well, 1 something failed, 2 the command line or the configuration has faults."""
    open_standard_streams()
    own = words is None
    """whether the whole process is for this"""
    words = command_first(sys.argv[1:] if words is None else list(words))
    if own and not (words and words[0] in SHELL):
        gc.disable()  # while modules and lists are loaded there is nothing to collect; the service switches it on
    try:
        return run_words(words)
    except StageError as error:
        sys.stderr.write(f"bgplite: {error}\n")
        return 1
    except BrokenPipeError:  # who reads has seen enough
        leave_standard_output()
        return 0
    except KeyboardInterrupt:
        if words[:1] == ["events"]:
            return 0  # they have no other end
        return 130 if words and words[0] in SHELL else 1


def run_words(words: list[str]) -> int:
    """Raises StageError, BrokenPipeError, KeyboardInterrupt."""
    if words and words[0] in SHELL:
        from .shell.commands import run as ask

        return ask(words)
    command = words.pop(0) if words[:1] == ["check"] else "run"
    if command == "run" and words and words[0].partition("=")[0] in _OF_SHELL:
        sys.stderr.write(f"bgplite: {no_command(words)}\n")
        return 2
    options = parser(command).parse_args(words)
    if options.version:
        show(f"bgplite {__version__}\n")
        return 0
    if why := missing():
        raise StageError(why)
    from .config_file import load
    from .yaml_records import ConfigFaults

    log = StderrLog(options.log)
    log.format = options.log_format
    try:
        config = load(options.config)
    except ConfigFaults as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except FileNotFoundError as error:
        raise StageError(no_file(options.config) if error.filename == str(options.config) else str(error)) from None
    except OSError as error:
        raise StageError(f"{options.config}: {explain(error)}") from None
    if command == "check":
        show(no_faults(options.config, config))
        return 0
    try:
        run(options.config, config, log)
    except (ConfigError, StageError, OSError) as error:
        log.error(str(error))
        return 1
    return 0


def command_first(words: list[str]) -> list[str]:
    """The same words, but options that stand before a command, or between its two words, stand behind it."""
    before, rest = _options(words)
    if not rest or rest[0] not in (*SHELL, "check"):
        return words
    between, more = _options(rest[1:])
    second = 0 if not more or more[0].startswith("-") else 1
    return [rest[0], *more[:second], *before, *between, *more[second:]]


def _options(words: list[str]) -> tuple[list[str], list[str]]:
    """The options of all commands at the beginning, and the words behind them."""
    number = 0
    while number < len(words) and (length := _OPTIONS.get(words[number].partition("=")[0])):
        number += 1 if "=" in words[number] else length
    return words[:number], words[number:]


def no_command(words: list[str]) -> str:
    """What to say of options of a command without the command."""
    import difflib

    found = next((word for word in words if difflib.get_close_matches(word, SHELL, 1, 0.7)), "")
    meant = difflib.get_close_matches(found, SHELL, 1, 0.7)
    hint = f"did you mean bgplite {meant[0]}?" if meant else f"there are {', '.join(SHELL)}"
    return f"{words[0].partition('=')[0]} is an option of commands, and there is none; {hint}"


def no_file(path: Path) -> str:
    """What to do where there is no configuration."""
    import difflib

    text = f"{path}: there is no such file"
    if meant := difflib.get_close_matches(str(path), (*SHELL, "check"), 1, 0.7):
        return f"{text}, and no such command; did you mean bgplite {meant[0]}?"
    return f"{text}; a configuration begins with Bgp: {{Asn: 65000, RouterId: 192.0.2.1}}, see docs/routeserver.md"


def parser(command: str) -> Parser:
    made = Parser(
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
    made.add_argument("-v", "--version", action="store_true", help="show the version, and end")
    return made


def no_faults(path: Path, config: Config) -> str:
    """What to say of a configuration that can be used."""
    lists, peers = len(config.prefix_sources) + len(config.ripe_stat.asn_lists), len(config.peers)
    return f"{path}: AS{config.bgp.asn}, {lists} lists, {peers} peers: no faults\n"


def run(path: Path, config: Config, log: StderrLog) -> None:
    """Raises OSError, StageError."""
    from ..runtime.process import serve
    from .service import RouteServerService

    serve(RouteServerService(path, config, log), log)
