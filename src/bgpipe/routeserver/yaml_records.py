"""YAML to typed records, with every error in it at once and where each one is.

A scalar is read as the field that it is for wants it: YAML's own guesses (`65001:10` as a number of base 60, `no` as
false) never apply. Environment variables such as `Bgp__Asn=65001` or `PrefixSources__0__Url=...` count as if they stood
in the file; `..._FILE` names a file that holds the value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
import yaml
from msgspec import inspect

T = TypeVar("T")
_NULLS: Final = frozenset(("", "~", "null", "Null", "NULL"))
MAX_DEPTH: Final = 16
"""Levels of a file; ours have four."""


class Fault(NamedTuple):
    """Something that is wrong. where: `file:line`, or the environment variable. key: path of the key, "" for none."""

    where: str
    key: str
    text: str

    def __str__(self) -> str:
        return ": ".join(part for part in self if part)


class ConfigFaults(Exception):
    """A configuration that can't be used: all that is wrong with it."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = faults


@dataclass(slots=True)
class Tree:
    """What stands in a file. value: text of a scalar, None for null, a list or a dictionary of trees."""

    value: str | list[Tree] | dict[str, Tree] | None
    where: str


@dataclass(slots=True)
class Reader:
    """Turns a tree into records, and notes what is wrong and where each key stands.

    A key with a fault counts as not given, so that the rest can be checked too; of each key the first fault is kept.
    """

    faults: list[Fault] = field(default_factory=list)
    places: dict[str, str] = field(default_factory=dict)
    """by path of the key, such as `Bgp.Asn` or `PrefixSources[0].Url`"""

    def fault(self, key: str, text: str) -> None:
        """key: the path of the key; one that is not there is told at the nearest one above it."""
        if any(each.key == key for each in self.faults if key):
            return
        place = key
        while place and place not in self.places:
            place = place[: max(place.rfind("."), place.rfind("["), 0)]
        self.faults.append(Fault(self.places.get(place, self.places.get("", "")), key, text))

    def raise_faults(self) -> None:
        """Raises ConfigFaults, if there are any."""
        if self.faults:
            raise ConfigFaults(sorted(self.faults, key=_line))

    def record(self, tree: Tree, kind: type[T]) -> T:
        """A record of the type `kind`."""
        found: T = self._value(tree, inspect.type_info(kind), "")
        return found

    def _value(self, tree: Tree, kind: inspect.Type, key: str) -> Any:
        self.places[key] = tree.where
        if isinstance(kind, inspect.UnionType):
            kinds = [each for each in kind.types if not isinstance(each, inspect.NoneType)]
            if tree.value is None and len(kinds) < len(kind.types):
                return None
            records = [each for each in kinds if isinstance(each, inspect.StructType)]
            kind = records[0] if records and isinstance(tree.value, dict) else kinds[0]
        if isinstance(kind, inspect.StructType):
            return self._struct(tree, kind, key)
        if isinstance(kind, inspect.VarTupleType):
            return self._items(tree, kind.item_type, key)
        if isinstance(kind, inspect.DictType):
            return self._mapping(tree, kind.value_type, key)
        return self._scalar(tree, kind, key)

    def _struct(self, tree: Tree, kind: inspect.StructType, key: str) -> Any:
        if not isinstance(tree.value, dict | None):
            self.fault(key, "keys with values are expected here")
        given = tree.value if isinstance(tree.value, dict) else {}
        fields = {each.encode_name: each for each in kind.fields}
        values = {}
        for name, under in given.items():
            path = f"{key}.{name}" if key else name
            if name not in fields:
                self.places[path] = under.where
                self.fault(path, "there is no such key" + _meant(name, fields))
                continue
            value = self._value(under, fields[name].type, path)
            if value is not _FAULTY:
                values[fields[name].name] = value
        for each in kind.fields:
            if each.required and each.name not in values:
                path = f"{key}.{each.encode_name}" if key else each.encode_name
                self.fault(path, "is missing")
                record = isinstance(each.type, inspect.StructType)
                values[each.name] = self._value(Tree({}, tree.where), each.type, path) if record else _zero(each)
        return kind.cls(**values)

    def _items(self, tree: Tree, kind: inspect.Type, key: str) -> Any:
        if tree.value is None:
            return ()
        if not isinstance(tree.value, list):
            self.fault(key, "a list is expected here: lines that begin with `- `")
            return _FAULTY
        found = []
        for number, under in enumerate(tree.value):
            path = f"{key}[{number}]"
            if under.value is None:
                self.places[path] = under.where
                self.fault(path, "an item without a value")
            else:
                found.append(self._value(under, kind, path))
        return tuple(each for each in found if each is not _FAULTY)

    def _mapping(self, tree: Tree, kind: inspect.Type, key: str) -> Any:
        if tree.value is None:
            return {}
        if not isinstance(tree.value, dict):
            self.fault(key, "keys with values are expected here")
            return _FAULTY
        found = {name: self._value(under, kind, f"{key}.{name}") for name, under in tree.value.items()}
        return {name: value for name, value in found.items() if value is not _FAULTY}

    def _scalar(self, tree: Tree, kind: inspect.Type, key: str) -> Any:
        if not isinstance(tree.value, str):
            self.fault(key, "a value is missing" if tree.value is None else "one value is expected here")
            return _FAULTY
        try:
            return _scalar(tree.value, kind)
        except ValueError as error:
            self.fault(key, f"{tree.value!r}: {error}")
            return _FAULTY


def _line(fault: Fault) -> tuple[bool, int]:
    """In the order of the file; those of the environment come last."""
    _, _, line = fault.where.rpartition(":")
    return (False, int(line)) if line.isdecimal() and not fault.where.startswith("$") else (True, 0)


_FAULTY: Final[Any] = object()
"""In the place of a value that has a fault."""
_BOOLEANS: Final = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def _zero(each: inspect.Field) -> Any:
    """In the place of a required value that isn't there."""
    return "" if isinstance(each.type, inspect.StrType) else getattr(each.type, "ge", 0) or 0


def _scalar(text: str, kind: inspect.Type) -> Any:
    """Raises ValueError, which says what is expected."""
    if isinstance(kind, inspect.StrType):
        return text
    if isinstance(kind, inspect.BoolType):
        if text.lower() not in _BOOLEANS:
            raise ValueError("true or false is expected")
        return _BOOLEANS[text.lower()]
    if isinstance(kind, inspect.LiteralType):
        if text not in kind.values:
            raise ValueError(f"one of {', '.join(map(str, kind.values))} is expected")
        return text
    assert isinstance(kind, inspect.IntType | inspect.FloatType)
    whole = isinstance(kind, inspect.IntType)
    try:
        number = int(text) if whole else float(text)
    except ValueError:
        number = math.nan
    least, most = kind.ge, kind.le
    if not (-math.inf if least is None else least) <= number <= (math.inf if most is None else most):
        bounds = [f"from {least}"] if least is not None else []
        bounds += [f"to {most}"] if most is not None else []
        raise ValueError(" ".join(("a whole number" if whole else "a number", *bounds, "is expected")))
    return number


def _meant(name: str, known: Mapping[str, object]) -> str:
    import difflib

    by_case = {each.lower(): each for each in known}
    near = difflib.get_close_matches(name.lower(), by_case, n=1, cutoff=0.6)
    return f"; did you mean {by_case[near[0]]}?" if near else ""


# what stands in a file


def parse(text: str, name: str, reader: Reader) -> Tree:
    """The tree of a YAML document; an empty one has no keys. name: of the file. Raises ConfigFaults."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}:{mark.line + 1}" if mark else name
        raise ConfigFaults([Fault(where, "", f"this is no YAML: {error.problem or error.context}")]) from None
    except (yaml.YAMLError, RecursionError) as error:
        raise ConfigFaults([Fault(name, "", f"this is no YAML: {error or 'too many levels'}")]) from None
    if node is None:
        return Tree({}, f"{name}:1")
    return _tree(node, name, reader, "", MAX_DEPTH)


def _tree(node: yaml.Node, name: str, reader: Reader, key: str, depth: int) -> Tree:
    where = f"{name}:{node.start_mark.line + 1}"
    if not depth:
        raise ConfigFaults([Fault(where, key, "too many levels")])
    if isinstance(node, yaml.ScalarNode):
        plain = node.style is None
        return Tree(None if plain and node.value in _NULLS else node.value, where)
    if isinstance(node, yaml.SequenceNode):
        return Tree(
            [_tree(each, name, reader, f"{key}[{number}]", depth - 1) for number, each in enumerate(node.value)], where
        )
    found: dict[str, Tree] = {}
    for each, under in node.value:
        line = f"{name}:{each.start_mark.line + 1}"
        if not isinstance(each, yaml.ScalarNode):
            reader.faults.append(Fault(line, key, "a key must be one word"))
            continue
        path = f"{key}.{each.value}" if key else each.value
        if each.value in found:
            reader.faults.append(Fault(line, path, f"is given twice, first at {found[each.value].where}"))
            continue
        found[each.value] = _tree(under, name, reader, path, depth - 1)
        found[each.value].where = line
    return Tree(found, where)


def overlay(tree: Tree, environment: Mapping[str, str], known: type[Any], reader: Reader) -> None:
    """Puts the environment variables that name keys into the tree; those of other programs are no fault."""
    top = {each.encode_name.lower(): each.encode_name for each in msgspec.structs.fields(known)}
    for variable in sorted(environment):
        path, from_file = variable.removesuffix("_FILE"), variable.endswith("_FILE")
        words = path.split("__")
        if words[0].lower() not in top or (len(words) == 1 and words[0] not in top.values()):
            continue
        value = environment[variable]
        where = f"${variable}"
        if from_file:
            try:
                with open(value, encoding="utf-8") as file:
                    value = file.read().rstrip("\n")
            except (OSError, UnicodeDecodeError) as error:
                reader.faults.append(
                    Fault(where, path.replace("__", "."), f"{value}: {getattr(error, 'strerror', None) or error}")
                )
                continue
        _put(tree, inspect.type_info(known), words, value, where, reader)


def _put(tree: Tree, kind: inspect.Type, words: list[str], value: str, where: str, reader: Reader) -> None:
    for position, word in enumerate(words):
        if isinstance(kind, inspect.UnionType):
            kind = next(each for each in kind.types if not isinstance(each, inspect.NoneType))
        if isinstance(kind, inspect.VarTupleType) and word.isdecimal():
            items = tree.value if isinstance(tree.value, list) else []
            tree.value, kind = items, kind.item_type
            if int(word) > len(items):
                text = f"the list has {len(items)} items, so the next one is {len(items)}"
                reader.faults.append(Fault(where, ".".join(words[: position + 1]), text))
                return
            if int(word) == len(items):
                items.append(Tree(None, where))
            tree = items[int(word)]
            continue
        known: dict[str, inspect.Type] = {}
        if isinstance(kind, inspect.StructType):
            known = {each.encode_name.lower(): each.type for each in kind.fields}
            names = {each.encode_name.lower(): each.encode_name for each in kind.fields}
            word = names.get(word.lower(), word)
        elif isinstance(kind, inspect.DictType):
            known = {word.lower(): kind.value_type}
        keys = tree.value if isinstance(tree.value, dict) else {}
        tree.value, kind = keys, known.get(word.lower(), inspect.StrType())
        tree = keys.setdefault(word, Tree(None, where))
    tree.value, tree.where = value, where
