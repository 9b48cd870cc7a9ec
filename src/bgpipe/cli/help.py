"""What `-h` prints, made from the declarations of the options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .. import stages
from ..pipeline.options import Option, format_duration
from ..runtime.options import GlobalOptions

if TYPE_CHECKING:
    from ..pipeline.stage import Stage

WIDTH = 34
"""Columns that the names of options take."""

USAGE = """\
Usage: bgpipe [OPTIONS] [--] [@NAME] STAGE [OPTIONS] [ARGUMENT] [--] [@NAME] STAGE ...

Reads, filters, converts and writes BGP messages. A command line is a pipeline of stages, through which messages travel
to the right (R) or to the left (L). A file or URL means `read`, an address `connect`, and :PORT `listen`. Where no
stage takes the messages, they are printed as JSON.

  bgpipe updates.20190101.0000.bz2 | head -3
  bgpipe read a.mrt.gz -- grep 'prefix ~ 8.0.0.0/8' -- write b.json
"""


def program_help() -> str:
    lines = [USAGE, "Options:", *describe(GlobalOptions.declared()), ""]
    lines.append("Stages (`bgpipe STAGE -h` shows their options):")
    for name in stages.known():
        lines += lay_out(f"  {name}", stages.summary(name))
    lines += ["", "`bgpipe rpki PREFIX AS ...` says what the RPKI says of a route, and why: bgpipe rpki -h."]
    lines += ["Exit codes: 0 success, 1 failure, 2 wrong command line."]
    lines += ["Every option may be set in the environment: BGPIPE_LOG=debug, BGPIPE_READ_FORMAT=mrt."]
    return "\n".join(lines) + "\n"


def stage_help(name: str, stage: type[Stage]) -> str:
    from ..pipeline.stage import Stage

    argument = f" {stage.argument}" if stage.argument else ""
    lines = [f"Usage: bgpipe ... {name} [OPTIONS]{argument}", "", stages.summary(name)]
    common = Stage.declared()
    if own := {key: option for key, option in stage.declared().items() if key not in common}:
        lines += ["", "Options:", *describe(own)]
    lines += ["", "Options of all stages:", *describe(common)]
    return "\n".join(lines) + "\n"


def describe(options: Mapping[str, Option[Any]]) -> list[str]:
    """The lines of help for these options."""
    lines = []
    for option in options.values():
        short = f"-{option.short}, " if option.short else "    "
        value = f" {option.metavar}" if not option.kind.flag else ""
        lines += lay_out(f"  {short}--{option.name}{value}", option.help + default(option))
    return lines


def lay_out(name: str, text: str) -> list[str]:
    """A name and its description in two columns."""
    from textwrap import wrap

    first, *more = wrap(text, 118 - WIDTH) or [""]
    start = [f"{name:{WIDTH}}{first}"] if len(name) <= WIDTH - 2 else [name, f"{'':{WIDTH}}{first}"]
    return [line.rstrip() for line in (*start, *(f"{'':{WIDTH}}{line}" for line in more))]


def default(option: Option[Any]) -> str:
    value = option.default
    if not value or option.kind.flag:  # a switch that is on by default says so
        return ""
    if isinstance(value, tuple):
        return f" (default {','.join(map(str, value))})"
    if isinstance(value, float):
        return f" (default {format_duration(value)})"
    return f" (default {value})"
