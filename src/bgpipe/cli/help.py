"""What `-h` prints, made from the declarations of the options."""

from __future__ import annotations

from .. import stages
from ..pipeline.options import Option, Options, format_duration
from ..pipeline.stage import Stage
from .options import GlobalOptions

WIDTH = 34
"""Columns that the names of options take."""

USAGE = """\
Usage: bgpipe [OPTIONS] [--] [@NAME] STAGE [OPTIONS] [ARGUMENT] [--] [@NAME] STAGE ...

Reads, filters, converts and writes BGP messages: a pipeline of stages, which messages travel to the right (R) and to
the left (L). A file or URL is short for `read` with it; one stage alone prints JSON.

  bgpipe updates.20190101.0000.bz2 | head -3
  bgpipe read a.mrt.gz -- grep 'prefix ~ 8.0.0.0/8' -- write b.json
"""


def program_help() -> str:
    lines = [USAGE, "Options:", *describe(GlobalOptions), "", "Stages (`bgpipe STAGE -h` tells their options):"]
    for name in stages.known():
        found = stages.find(name)
        lines.append(f"  {name:{WIDTH - 2}}{summary(found) if found else ''}")
    lines += ["", "Exit codes: 0 all is well, 1 something failed, 2 the options can't be read."]
    lines += ["An option may come from the environment: BGPIPE_LOG=debug, BGPIPE_READ_FORMAT=mrt."]
    return "\n".join(lines) + "\n"


def stage_help(name: str, stage: type[Stage]) -> str:
    argument = f" {stage.argument}" if stage.argument else ""
    lines = [f"Usage: bgpipe ... {name} [OPTIONS]{argument}", "", summary(stage), "", "Options:"]
    own = {key: option for key, option in stage.declared().items() if key not in Stage.declared()}
    lines += describe_all(own)
    lines += ["", "Options of all stages:", *describe(Stage)]
    return "\n".join(lines) + "\n"


def summary(stage: type[Stage]) -> str:
    """The first line of its documentation."""
    return (stage.__doc__ or "").strip().partition("\n")[0]


def describe(options: type[Options]) -> list[str]:
    return describe_all(options.declared())


def describe_all(options: dict[str, Option[object]]) -> list[str]:
    from textwrap import wrap

    lines = []
    for option in options.values():
        short = f"-{option.short}, " if option.short else "    "
        value = f" {option.metavar}" if not option.kind.flag else ""
        names = f"  {short}--{option.name}{value}"
        text = wrap(option.help + default(option), 118 - WIDTH)
        if len(names) > WIDTH - 2:
            lines.append(names)
            names = ""
        lines.append(f"{names:{WIDTH}}{text[0]}")
        lines += [" " * WIDTH + more for more in text[1:]]
    return lines


def default(option: Option[object]) -> str:
    value = option.default
    if not value:
        return ""
    if isinstance(value, tuple):
        return f" (default {','.join(map(str, value))})"
    if isinstance(value, float):
        return f" (default {format_duration(value)})"
    return f" (default {value})"
