"""Policies: loading and calling Python files, and reporting errors in them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from itertools import count
from types import CodeType, ModuleType
from typing import Any, Final, SupportsIndex, overload

from ...wire.message import OPEN, UPDATE, Message
from ...wire.update import Update

HOOKS: Final = {"update": UPDATE, "open": OPEN}
"""Functions for messages of one type. `message` is called for all others."""

Answer = bool | list[Message]

_numbers = count(1)


class PolicyError(Exception):
    """A file that can't be a policy. The text says where and why."""


class MissingWordError(IndexError):
    """A word that a file wants does not follow it on the command line."""


class Words(list[str]):
    """FILE and the words that follow it. To ask for one that is not there is an error that says so."""

    @overload
    def __getitem__(self, index: SupportsIndex) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: SupportsIndex | slice) -> str | list[str]:
        try:
            return super().__getitem__(index)
        except IndexError:
            given = f"{len(self) - 1} follow it" if len(self) > 1 else "none follows it"
            text = f"needs more words behind it, and {given} (say them with -A; the start of the file may tell which)"
            raise MissingWordError(text) from None


class Policy:
    """A loaded file. Raises PolicyError.

    name: of the module in sys.modules, where no other has it: each session has a state of its own.
    """

    def __init__(self, path: str, code: CodeType) -> None:
        self.path = path
        self.name = f"bgpipe_policy_{next(_numbers)}"
        self.module = ModuleType(self.name)
        self.module.__file__ = path
        folder = os.path.dirname(path)
        if folder not in sys.path:
            sys.path.append(folder)  # last, so that files beside the policy hide no other module
        sys.modules[self.name] = self.module
        try:
            exec(code, self.module.__dict__)
        except (Exception, SystemExit) as error:
            self.unload()
            raise PolicyError(describe(error, path)) from error
        self.hooks = {code: hook for name, code in HOOKS.items() if (hook := self.function(name))}
        self.any = self.function("message")
        if not self.hooks and not self.any:
            self.unload()
            raise PolicyError(f"{os.path.basename(path)}: has no function update(m), open(m) or message(m)")

    def function(self, name: str) -> Callable[[Any], Any] | None:
        """A function of the file by its name, or None."""
        value = self.module.__dict__.get(name)
        return value if callable(value) else None

    def call(self, message: Message) -> Answer:
        """Whether a message goes on, or what goes on in its place. Raises whatever the policy raises, and TypeError."""
        hook = self.hooks.get(message.type_code, self.any)
        if hook is None:
            return True
        return ask(hook, message)

    def unload(self) -> None:
        sys.modules.pop(self.name, None)


def ask(hook: Callable[[Any], Any], message: Message) -> Answer:
    """The decision of a function about a message, as `Policy.call`. Raises what the function raises, and TypeError."""
    return decide(hook(message), hook, message)


def decide(answer: object, hook: Callable[[Any], Any], message: Message) -> Answer:
    """Converts the answer of a function to what `Policy.call` returns. Raises TypeError."""
    if answer is None or answer is True or answer is message:
        return True
    if answer is False:
        return False
    if isinstance(answer, Update):
        message.update = answer
        return True
    if isinstance(answer, Message):
        return [answer]
    if isinstance(answer, list | tuple):
        return [_as_message(each, message) for each in answer]
    raise TypeError(f"{getattr(hook, '__name__', 'a function')}() returned {answer!r}")


def _as_message(item: object, old: Message) -> Message:
    if isinstance(item, Message):
        return item
    if isinstance(item, Update):
        body = item.encode(old.context)
        return Message(UPDATE, body, time=old.time, context=old.context, tags=dict(old.tags))
    raise TypeError(f"a list of messages is expected, and {item!r} is in it")


def read_policy(path: str) -> CodeType:
    """Compiles a file, each time from its text: a cache may miss a change within the same second.

    Raises PolicyError.
    """
    try:
        with open(path, "rb") as file:
            return compile(file.read(), path, "exec", dont_inherit=True)
    except OSError as error:
        raise PolicyError(f"{path}: {error.strerror or error}") from None
    except (SyntaxError, ValueError) as error:
        raise PolicyError(describe(error, path)) from None


def place_of(error: BaseException, path: str) -> str:
    """FILE:LINE of the last line of this file that an error came from; FILE if it came from none."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{os.path.basename(error.filename)}:{error.lineno}"
    place = os.path.basename(path)
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == path:
            place = f"{os.path.basename(path)}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


def describe(error: BaseException, path: str) -> str:
    """FILE:LINE: TYPE: TEXT, in one line."""
    if isinstance(error, MissingWordError):
        return f"{os.path.basename(path)}: {error}"
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{place_of(error, path)}: {type(error).__name__}: {text}".rstrip(": ").replace("\n", " ")
