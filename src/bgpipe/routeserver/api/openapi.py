"""The API as an OpenAPI 3.1 document, made from the table of operations and the types of their functions."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Final

import msgspec
from msgspec import Struct

from ... import __version__
from .answers import Failed
from .operations import OPERATIONS, Operation

REFERENCES: Final = "#/components/schemas/"
GROUPS: Final = {
    "peer": "Peers",
    "group": "Groups",
    "try": "Trials",
    "list": "Lists and their sources",
    "event": "Events",
    "access": "Tokens and the audit log",
    "status": "Server, sessions and routes",
    "birdwatcher": "For looking glasses, as birdwatcher has it",
}
"""Headings, by the group of an operation."""


@cache
def document() -> dict[str, Any]:
    """The whole document."""
    paths: dict[str, Any] = {}
    schemas, components = msgspec.json.schema_components(
        [each for operation in OPERATIONS for each in _types(operation)], ref_template=REFERENCES + "{name}"
    )
    found = iter(schemas)
    for operation in OPERATIONS:
        known = {id(each): next(found) for each in _types(operation)}
        paths.setdefault(operation.path, {})[operation.method.lower()] = _describe(operation, known)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "bgplite",
            "version": __version__,
            "description": "Peers of a BGP route server, and the lists of prefixes that they have subscribed to.",
        },
        "tags": [{"name": name} for name in GROUPS.values()],
        "paths": paths,
        "security": [{"bearer": []}, {}],
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "schemas": {name: _plain(schema) for name, schema in components.items()},
        },
    }


def _types(operation: Operation) -> list[Any]:
    """The types that have a schema, Failed last."""
    return [each for each in (operation.body, operation.answer) if each is not None] + [Failed]


def _describe(operation: Operation, schemas: dict[int, Any]) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        for name in re.findall(r"\{(\w+)", operation.path)
    ]
    shown: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [GROUPS[operation.group]],
        "summary": operation.summary,
        "description": operation.role + (", and a peer for its own" if operation.own else ""),
        "parameters": parameters + _query(operation.query),
        "responses": {"200": _answer(operation, schemas), "default": _json(schemas[id(Failed)], "What was wrong.")},
    }
    if operation.body is not None:
        shown["requestBody"] = _json(schemas[id(operation.body)], _first(operation.body)) | {"required": True}
    return shown


def _query(kind: type[Struct] | None) -> list[dict[str, Any]]:
    if kind is None:
        return []
    ((_,), components) = msgspec.json.schema_components([kind], ref_template=REFERENCES + "{name}")
    schema = _plain(components[kind.__name__])
    texts = dict(re.findall(r"(\w+): ((?:[^.]|\.(?! |$))*)\.?", " ".join((kind.__doc__ or "").split())))
    return [
        {"name": name, "in": "query", "required": name in schema["required"], "schema": _not_null(each)}
        | ({"description": texts[name]} if name in texts else {})
        for name, each in schema["properties"].items()
    ]


def _not_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter of a query is there or not, never null."""
    if "anyOf" in schema:
        rest = [each for each in schema["anyOf"] if each != {"type": "null"}]
        return rest[0] if len(rest) == 1 else {"anyOf": rest}
    return schema


def _answer(operation: Operation, schemas: dict[int, Any]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for media in operation.media:
        json = media == "application/json" and operation.answer is not None
        content[media] = {"schema": schemas[id(operation.answer)] if json else {"type": "string"}}
    return {"description": operation.summary, "content": content}


def _json(schema: Any, text: str) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _first(kind: type[Struct]) -> str:
    return " ".join((kind.__doc__ or "").partition("\n\n")[0].split())


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """Descriptions in one line."""
    if "description" in schema:
        schema["description"] = " ".join(schema["description"].split())
    return schema
