"""The command `bgpipe`.

Exit codes: 0 success, 1 failure, 2 wrong command line. `bgpipe rpki` has one more.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise

from ..pipeline.errors import ConfigError, StageError, UsageError
from ..runtime.log import StderrLog, printable
from ..runtime.standard_streams import leave_standard_output, open_standard_streams, show


def main(words: Sequence[str] | None = None) -> int:
    """Runs one command line; the exit code. Without words this is the whole process, with those of its start."""
    if words is not None:
        return run_words(words)
    gc.disable()  # while modules are loaded there is nothing to collect; `run` switches it on
    code = run_words(sys.argv[1:])
    gc.freeze()  # what is there now is there to the end: the interpreter would search all of it again for garbage
    return code


def run_words(words: Sequence[str]) -> int:
    """Runs one command line; the exit code."""
    open_standard_streams()
    log = StderrLog()
    log.format = format_of_log(words, os.environ)
    try:
        return run(words, log)
    except (UsageError, ConfigError, StageError) as error:
        fail(log, f"{error} (bgpipe -h shows the options)" if isinstance(error, UsageError) else str(error))
        if log.shows("debug") and error.__cause__ is not None:
            log.debug("because of", exc_info=error.__cause__)
        return error.exit_code
    except BrokenPipeError:  # of help or an explanation: who reads has seen enough
        leave_standard_output()
        return 0
    except KeyboardInterrupt:
        fail(log, "interrupted")
    except Exception as error:
        fail(log, f"unexpected {type(error).__name__}: {error} (please report it; -l debug shows where)")
        log.debug("unexpected error", exc_info=error)
    return 1


def format_of_log(words: Sequence[str], environment: Mapping[str, str]) -> str:
    """What --log-format says. It is looked for before the words are read, because an error in them is logged too."""
    text = environment.get("BGPIPE_LOG_FORMAT", "text")
    for word, following in pairwise((*words, "")):
        if word == "--log-format":
            text = following
        elif word.startswith("--log-format="):
            text = word.partition("=")[2]
    return "json" if text == "json" else "text"


def run(words: Sequence[str], log: StderrLog) -> int:
    from ..app import compose

    spec = compose(words, environment=os.environ)
    log.level, log.format = spec.options.log, spec.options.log_format
    if spec.options.version:
        from .version import version_text

        sys.stderr.write(version_text())
        return 0
    if spec.help is not None:
        show(help_text(spec.help))
        return 0
    if spec.question is not None:
        from .rpki import ask

        text, code = ask(spec.question, spec.options, log)
        show(text)
        return code
    if not spec.stages:
        if log.format == "text":
            from .help import program_help

            sys.stderr.write(program_help())
        raise ConfigError("no stages")
    from ..app.build import build

    if spec.options.explain:
        from ..pipeline.explain import explain

        show(explain(build(spec, log), colours=sys.stdout.isatty()))
        return 0
    from ..runtime.run import run_command

    make = partial(build, spec, log)
    first = make()
    if not gc.isenabled():
        gc.freeze()  # modules stay: no collection need look at them
        gc.enable()
    run_command(first, make, spec.options, log)
    return 0


def help_text(name: str) -> str:
    """Help for the program (""), or for a stage. Raises ConfigError."""
    from .help import program_help, stage_help

    if not name:
        return program_help()
    if name == "rpki":
        from .rpki import help_text as rpki_help

        return rpki_help()
    from ..pipeline.errors import nearest
    from ..stages import find, known

    stage = find(name)
    if stage is None:
        raise ConfigError(f"unknown stage {name!r}{nearest(name, known())}")
    return stage_help(name, stage)


def say(text: str) -> None:
    """Prints one line to standard error."""
    sys.stderr.write(f"bgpipe: {printable(text)}\n")


def fail(log: StderrLog, text: str) -> None:
    """Prints why bgpipe ends, whatever --log says."""
    if log.format == "json":
        log.level = "error"
        log.error(text)
    else:
        say(text)
