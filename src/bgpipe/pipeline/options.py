"""Options: each declared once, in a typed form, where its value is used.

    class Head(Stage):
        count = Option(INTEGER, 10, "pass N messages", short="n", metavar="N")

From the declaration come the scanner of words (GNU style, as pflag has it), the value from the environment, the help
and the checks of the documentation; `self.count` is an int.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from os import PathLike, fspath
from typing import Any, Generic, TypeVar, overload

from .errors import UsageError, nearest

T = TypeVar("T")


class OptionKind(Generic[T]):
    """The kind of an option. `parse` makes the value from text, and raises ValueError that says what is expected.

    flag: it takes a value only after "=". adds: the values of a repeated option are joined. words: all possible values,
    if there are few. fits: whether a word is meant as a value, for options that may stand without one; None: if it is
    one of `words`.
    """

    __slots__ = ("adds", "fits", "flag", "metavar", "parse", "words")

    def __init__(
        self,
        metavar: str,
        parse: Callable[[str], T],
        *,
        flag: bool = False,
        adds: bool = False,
        words: tuple[str, ...] = (),
        fits: Callable[[str], bool] | None = None,
    ) -> None:
        self.fits = fits
        self.metavar = metavar
        self.parse = parse
        self.flag = flag
        self.adds = adds
        self.words = words


def parse_flag(text: str) -> bool:
    if text.lower() in ("1", "t", "true"):
        return True
    if text.lower() in ("0", "f", "false"):
        return False
    raise ValueError("true or false is expected")


def parse_integer(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise ValueError("a whole number is expected") from None


def parse_number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError("a number is expected") from None
    if value != value or value in (float("inf"), float("-inf")):
        raise ValueError("a finite number is expected")
    return value


_DURATION = r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)"
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_duration(text: str) -> float:
    """Seconds of a duration as Go writes it: 15s, 1h30m, -1.5s, 0."""
    sign, rest = (-1, text[1:]) if text[:1] == "-" else (1, text.removeprefix("+"))
    parts = re.findall(_DURATION, rest)
    if rest == "0":
        return 0.0
    if not parts or "".join(number + unit for number, unit in parts) != rest:
        if re.fullmatch(r"[0-9.]+", rest):
            raise ValueError(f"a duration needs a unit, as in {text}s")
        raise ValueError("a duration such as 15s or 1h30m is expected")
    return sign * sum(float(number) * _SECONDS[unit] for number, unit in parts)


def format_duration(seconds: float) -> str:
    """1h30m for 5400."""
    if seconds == 0:
        return "0"
    text, rest = "-" if seconds < 0 else "", abs(seconds)
    for unit, size in (("h", 3600), ("m", 60)):
        if rest >= size:
            text += f"{int(rest // size)}{unit}"
            rest %= size
    return text + (f"{rest:g}s" if rest else "")


def parse_list(text: str) -> tuple[str, ...]:
    return tuple(word for word in (part.strip() for part in text.split(",")) if word)


FLAG = OptionKind("", parse_flag, flag=True)
TEXT = OptionKind("TEXT", str)
INTEGER = OptionKind("N", parse_integer)
NUMBER = OptionKind("F", parse_number)
DURATION = OptionKind("DURATION", parse_duration)
LIST = OptionKind("LIST", parse_list, adds=True)
"""Words between commas; may be repeated."""
TEXTS: OptionKind[tuple[str, ...]] = OptionKind("TEXT", lambda text: (text,), adds=True)
"""One text each time; may be repeated."""


def choice(*words: str, aliases: Mapping[str, str] | None = None) -> OptionKind[str]:
    """The kind of an option whose value is one of these words, in any case. aliases: other spellings of them."""
    names = {word: word for word in words} | dict(aliases or {})

    def parse(text: str) -> str:
        try:
            return names[text.lower()]
        except KeyError:
            raise ValueError(f"one of {', '.join(words)} is expected{nearest(text, names)}") from None

    return OptionKind("|".join(words), parse, words=tuple(names))


class Option(Generic[T]):
    """An option. Its name is that of the class attribute, with "-" for "_", unless `name` is given.

    bare: the value if the next word is none for the option (for options that once were flags). old: former
    names. switches: flags that mean a value, such as `--mrt` for `--format mrt`. env: whether the environment may set
    it. secret: whether the value is hidden in logs, in --explain and over HTTP.
    """

    def __init__(
        self,
        kind: OptionKind[T],
        default: T,
        help: str,
        *,
        short: str = "",
        name: str = "",
        metavar: str = "",
        bare: T | None = None,
        old: tuple[str, ...] = (),
        switches: Mapping[str, T] | None = None,
        env: bool = True,
        secret: bool = False,
    ) -> None:
        self.kind = kind
        self.default = default
        self.help = help
        self.short = short
        self.name = name
        self.metavar = metavar or kind.metavar
        self.bare = bare
        self.old = old
        self.switches = switches or {}
        self.env = env
        self.secret = secret

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = self.name or name.rstrip("_").replace("_", "-")

    @overload
    def __get__(self, options: None, owner: type) -> Option[T]: ...
    @overload
    def __get__(self, options: Options, owner: type) -> T: ...
    def __get__(self, options: Options | None, owner: type) -> Option[T] | T:
        if options is None:
            return self
        return options.values.get(self.name, self.default)  # type: ignore[no-any-return]

    def __set__(self, options: Options, value: T) -> None:
        options.values[self.name] = value


class Options:
    """Something that has options: a stage, or the command line before the first stage."""

    help = Option(FLAG, False, "show this help", short="h", env=False)

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.explicit: set[str] = set()
        """names of the options that words or the environment have set"""

    @classmethod
    def declared(cls) -> dict[str, Option[Any]]:
        """All options by name: first those of the class itself, --help last."""
        options: dict[str, Option[Any]] = {}
        for owner in cls.__mro__:
            for option in vars(owner).values():
                if isinstance(option, Option):
                    options.setdefault(option.name, option)
        options["help"] = options.pop("help")
        return options

    def take(self, option: Option[T], text: str, explicit: str) -> None:
        """Sets an option from text. explicit: how the option is written there. Raises UsageError."""
        try:
            value = option.kind.parse(text)
        except ValueError as error:
            raise UsageError(f"{explicit}: invalid value {text!r}: {error}", option=option.name) from None
        self._give(option, value)

    def _give(self, option: Option[T], value: T) -> None:
        if option.kind.adds and option.name in self.explicit:
            value = self.values[option.name] + value
        self.values[option.name] = value
        self.explicit.add(option.name)

    def set(self, key: str, value: object) -> None:
        """Gives the option of this name a value of a record: text as on the command line, a number (of a duration:
        seconds), true or false, or a list of these. "_" may stand for "-". Raises UsageError."""
        name = key.rstrip("_").replace("_", "-")
        options = {each: option for option in self.declared().values() for each in (option.name, *option.old)}
        option = options.get(name)
        if option is None or not option.env:
            known = [each.name for each in self.declared().values() if each.env]
            raise UsageError(f"unknown option {key!r}{nearest(name, known)}", option=key)
        if value is None:
            raise UsageError(f"{key}: needs a value ({option.metavar or 'true or false'})", option=key)
        if option.bare is not None and isinstance(value, bool):
            if value:
                self._give(option, option.bare)
            return
        several = option.kind.adds and isinstance(value, list | tuple)
        for each in value if several and isinstance(value, list | tuple) else (value,):
            self.take(option, _as_text(option, key, each), key)

    def take_environment(self, environment: Mapping[str, str], prefix: str) -> None:
        """Sets options from the environment: BGPIPE_LOG for --log, BGPIPE_READ_FORMAT for --format of read."""
        for option in self.declared().values():
            name = f"{prefix}{option.name}".upper().replace("-", "_")
            if option.env and name in environment:
                self.take(option, environment[name], name)
        self.explicit.clear()  # a word replaces what the environment says, also where words add up

    def scan(self, words: Sequence[str]) -> list[str]:
        """Reads the options at the start of `words`. Returns the words from the first that is not an option. Raises
        UsageError."""
        names, shorts, switches = {}, {}, {}
        for option in self.declared().values():
            for name in (option.name, *option.old):
                names[name] = option
            if option.short:
                shorts[option.short] = option
            for name, value in option.switches.items():
                switches[name] = (option, value)
        rest = list(words)
        while rest and len(rest[0]) > 1 and rest[0][0] == "-" and rest[0] != "--":
            word = rest.pop(0)
            if not word.startswith("--"):
                self._scan_shorts(word, shorts, rest)
            elif (name := word[2:].partition("=")[0]) in names:
                self._scan_value(names[name], f"--{name}", word[2 + len(name) :], rest)
            elif name in switches and "=" not in word:
                self._give(*switches[name])
            else:
                hint = nearest(name, self.declared(), "--")
                raise UsageError(f"unknown option --{name}{hint}", option=name)
            if self.help:
                break
        return rest

    def _scan_shorts(self, word: str, shorts: Mapping[str, Option[Any]], rest: list[str]) -> None:
        """`-x`, `-xVALUE`, `-x=VALUE`, and flags in a bundle, `-LR`."""
        letters = word[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            option = shorts.get(letter)
            if option is None:
                inside = f" in {word}" if len(word) > 2 else ""
                hint = f", did you mean --{word[1:]}?" if word[1:] in self.declared() else ""
                raise UsageError(f"unknown option -{letter}{inside}{hint}", option=letter)
            if option.kind.flag and letters[:1] != "=":
                self._give(option, True)
            else:
                value = letters if letters[:1] == "=" else f"={letters}" if letters else ""
                self._scan_value(option, f"-{letter}", value, rest)
                return

    def _scan_value(self, option: Option[Any], explicit: str, value: str, rest: list[str]) -> None:
        """The value of an option: `value` is "=TEXT", or "" if it is the next word."""
        if value:
            self.take(option, value[1:], explicit)
        elif option.kind.flag:
            self._give(option, True)
        elif option.bare is not None and not self._speaks_for(option, rest):
            self._give(option, option.bare)
        elif not rest:
            raise UsageError(f"{explicit} needs a value ({option.metavar})", option=option.name)
        else:
            self.take(option, rest.pop(0), explicit)

    @staticmethod
    def _speaks_for(option: Option[Any], rest: Sequence[str]) -> bool:
        """Whether the next word is meant as the value of an option that can do without: it is one, or one misspelt, or
        something else that stands before the name of a file."""
        word, following = (*rest, "", "")[:2]
        if option.kind.fits is not None:
            return option.kind.fits(word)
        if word.lower() in option.kind.words:
            return True
        names_file = "." in following or "/" in following
        return word.isalnum() and word.islower() and (names_file or bool(nearest(word, option.kind.words)))


def _as_text(option: Option[Any], key: str, value: object) -> str:
    """A value of a record as the command line would have it. Raises UsageError."""
    if isinstance(value, bool):
        text = "true" if value else "false"
        if not option.kind.flag:
            raise UsageError(f"{key}: invalid value {text}: {option.metavar} is expected", option=option.name)
        return text
    if isinstance(value, int | float):
        return f"{value:.9f}s" if option.kind is DURATION else str(value)
    if isinstance(value, str | PathLike):
        return fspath(value)
    if option.kind is TEXT and isinstance(value, Mapping | list):
        import json

        return json.dumps(value)  # capabilities, for example
    raise UsageError(
        f"{key}: invalid value {value!r}: {option.metavar or 'true or false'} is expected", option=option.name
    )
