"""The command line: `bgpipe [OPTIONS] [--] [@NAME] STAGE [OPTIONS] [ARGUMENT] [--] [@NAME] STAGE ...`

`help`, `version` and `rpki` in place of the first stage are commands of their own.

A stage's words end at `--`, or by themselves after its argument: what is left starts the next stage. A stage may
be said by a bare word: an address is `connect`, :PORT is `listen`, a URL, a file or - is `read`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from .. import stages
from ..pipeline.errors import ConfigError, MissingInputError, UsageError, nearest
from ..runtime.options import GlobalOptions
from .spec import PipelineSpec

if TYPE_CHECKING:
    from ..pipeline.stage import Stage

PREFIX = "BGPIPE_"
"""The start of environment variables that set options."""


def split(text: str) -> list[str]:
    """Splits a text into words, as a shell does. Raises UsageError."""
    import shlex

    try:
        return shlex.split(text)
    except ValueError as error:
        raise UsageError(f"{text!r}: {error}") from None


def parse(words: Sequence[str], environment: Mapping[str, str] | None = None) -> PipelineSpec:
    """Reads a command line, without the program's name. Raises UsageError, ConfigError."""
    environment = environment or {}
    spec = PipelineSpec()
    spec.options.take_environment(environment, PREFIX)
    rest = spec.options.scan(words)
    if spec.options.help:
        spec.help = ""
        return spec
    if rest[:1] == ["--"]:
        rest = rest[1:]
    elif rest[:1] == ["help"]:
        spec.help = rest[1] if len(rest) > 1 else ""
        return spec
    elif rest[:1] == ["version"]:
        spec.options.version = True
        return spec
    elif rest[:1] == ["rpki"]:
        spec.question = rest[1:]
        return spec
    index = 0
    while rest:
        index += 1
        if rest[0] == "--":  # an empty stage, which still has a number
            rest = rest[1:]
            continue
        end = rest.index("--") if "--" in rest else len(rest)
        stage, left = read_stage(rest[:end], index, environment)
        if stage.help:
            spec.help = stage.command
            return spec
        spec.stages.append(stage)
        rest = left + rest[end:] if left else rest[end + 1 :]
    return spec


def read_stage(words: Sequence[str], index: int, environment: Mapping[str, str]) -> tuple[Stage, list[str]]:
    """The stage that `words` start with, and the words after it. Raises UsageError, ConfigError."""
    name = ""
    if words[0].startswith("@") and len(words[0]) > 1:
        name, words = words[0], words[1:]
        if not words:
            raise ConfigError(f"{name}: a stage must follow this name", stage=index)
    command, rest = resolve(list(words), index)
    stage = new_stage(command, index, name)
    try:
        stage.take_environment(environment, f"{PREFIX}{command}_")
        if own := re.sub("[^A-Za-z0-9]+", "_", name).strip("_"):
            stage.take_environment(environment, f"{PREFIX}{own}_")
        words, rest = rest, stage.scan(rest)
        if stage.help:
            return stage, []
        if stage.needs_argument and not (rest and rest[0]):
            empty = ", not an empty text" if rest else ""
            raise UsageError(f"needs an argument: {stage.argument}{empty}")
    except UsageError as error:
        raise UsageError(f"{error}{_misplaced(error)}", option=error.option).inside(stage, index) from None
    count = len(rest) if stage.take_all else 1 if stage.needs_argument else 0
    stage.arguments = rest[:count]
    stage.words = words[: len(words) - len(rest) + count]
    return stage, rest[count:]


def new_stage(command: str, index: int, name: str = "") -> Stage:
    """A stage without options. Raises ConfigError."""
    found = stages.find(command)
    if found is None:
        raise ConfigError(f"unknown stage {command!r}{nearest(command, stages.known())}", stage=index)
    stage = found(name or command)
    stage.command, stage.index = command, index
    return stage


# Compiled when they are needed: an archive at its start is not kept waiting for that.
_ADDRESS = (
    r"(?P<v4>\d+\.\d+\.\d+\.\d+|localhost)(:\d+)?"
    r"|\[(?P<v6>[0-9a-fA-F:.]+)\](:\d+)?"
    r"|(?P<bare>[0-9a-fA-F:.]*:[0-9a-fA-F:.]*:[0-9a-fA-F:.]*)"
)
_PORT = r":\d{1,5}"


def resolve(words: list[str], index: int) -> tuple[str, list[str]]:
    """(command, words after it) of the stage of this number; a bare word that is no command is the argument of one.

    Raises UsageError, ConfigError.
    """
    word = words[0]
    if word in stages.builtin():
        return word, words[1:]
    if is_address(word):
        return "connect", words
    if word[:1] == ":" and re.fullmatch(_PORT, word) and 0 < int(word[1:]) < 65536:
        return "listen", words
    if "://" in word or word == "-":
        return "read", words
    # looking for other packages' stages takes longer than all the rest here: not for what can't be the name of one
    if word.islower() and word.replace("-", "_").isidentifier() and word in stages.known():
        return word, words[1:]
    if os.path.exists(word) and not os.path.isdir(word):
        return "read", words
    if word.startswith("-"):
        text = f"{word}: the options of a stage come before its argument, as in: listen --again :179"
        raise UsageError(text, stage=index)
    if os.path.isdir(word):
        raise ConfigError(f"{word}: is a folder", stage=index)
    error = MissingInputError if "." in word or "/" in word else ConfigError
    raise error(f"{word}: no such stage or file{nearest(word, stages.known())}", stage=index)


def is_address(word: str) -> bool:
    """An IP address or localhost, with or without a port."""
    if not (word[:1].isdigit() or ":" in word or word.startswith("localhost")):
        return False
    found = re.fullmatch(_ADDRESS, word)
    if not found:
        return False
    from ipaddress import ip_address

    host = found["v4"] or found["v6"] or found["bare"]
    try:
        return host == "localhost" or bool(ip_address(host))
    except ValueError:
        return False


def _misplaced(error: UsageError) -> str:
    """A hint if a stage does not have the option, but the command line before the first stage does."""
    names = {name for option in GlobalOptions.declared().values() for name in (option.name, option.short)} - {""}
    return " (it belongs before the first stage)" if error.option in names else ""
