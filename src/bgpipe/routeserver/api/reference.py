"""The documentation of the API, from its OpenAPI document: a page in HTML that loads nothing, and one in Markdown."""

from __future__ import annotations

import html as text_of
from collections.abc import Iterator, Mapping
from typing import Any, Final

from .openapi import REFERENCES

STYLE: Final = """\
body { font: 16px/1.5 sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em; color: #222; background: #fff }
table { border-collapse: collapse; margin: .5em 0 }
td, th { border: 1px solid #ccc; padding: .2em .6em; text-align: left }
code { background: #f3f3f3; padding: 0 .2em } h3 code { background: none } h3 { margin: 2em 0 0 }
@media (prefers-color-scheme: dark) { body { color: #ddd; background: #181818 } code { background: #2a2a2a } }
"""
Operations = list[tuple[str, str, Mapping[str, Any]]]


def by_group(document: Mapping[str, Any]) -> Iterator[tuple[str, Operations]]:
    """(heading, its operations as method, path and description)."""
    for tag in document["tags"]:
        found = [
            (method.upper(), path, each)
            for path, methods in document["paths"].items()
            for method, each in methods.items()
            if tag["name"] in each["tags"]
        ]
        if found:
            yield tag["name"], found


def type_name(schema: Mapping[str, Any]) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        return str(schema["$ref"]).removeprefix(REFERENCES)
    if "anyOf" in schema:
        return " or ".join(map(type_name, schema["anyOf"]))
    if "enum" in schema:
        return " or ".join(map(str, schema["enum"]))
    if schema.get("type") == "array":
        return f"list of {type_name(schema.get('items', {}))}"
    if schema.get("type") == "object":
        values = schema.get("additionalProperties")
        return f"object of {type_name(values)}" if isinstance(values, dict) else "object"
    return str(schema.get("type", "any"))


def body_and_answer(operation: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(what, which type) of a request and of what is answered."""
    body = operation.get("requestBody")
    if body:
        yield "body", type_name(body["content"]["application/json"]["schema"])
    for media, shown in operation["responses"]["200"]["content"].items():
        yield "answer", type_name(shown["schema"]) if media == "application/json" else media


def properties(schema: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(name, type, "required" or what it is else) of each field of a record."""
    for name, each in schema.get("properties", {}).items():
        default = each.get("default")
        shown = "" if default in (None, "", [], {}) else f"default {default}"
        yield name, type_name(each), "required" if name in schema.get("required", ()) else shown


def markdown(document: Mapping[str, Any]) -> str:
    """A page of the documentation."""
    lines: list[str] = []
    for heading, operations in by_group(document):
        lines += [f"## {heading}", "", "| what | for whom | query, body → answer |", "|---|---|---|"]
        for method, path, each in operations:
            asks = [
                f"`?{one['name']}={type_name(one['schema'])}`" for one in each["parameters"] if one["in"] == "query"
            ]
            asks += [name for what, name in body_and_answer(each) if what == "body"]
            answers = ", ".join(name for what, name in body_and_answer(each) if what == "answer")
            shown = " ".join(asks).replace("|", "\\|")
            summary = f"`{method} {path}`<br>{each['summary']}"
            lines.append(f"| {summary} | {each['description']} | {shown} → {answers} |".replace("|  →", "| →"))
        lines.append("")
    lines += ["## Records", ""]
    for name, schema in document["components"]["schemas"].items():
        lines += [f"### {name}", "", schema.get("description", ""), ""]
        rows = [f"| `{field}` | {kind} | {more} |" for field, kind, more in properties(schema)]
        lines += ["| field | type | |", "|---|---|---|", *rows, ""] if rows else []
    return "\n".join(lines).rstrip() + "\n"


def html(document: Mapping[str, Any]) -> str:
    """A page for a browser, without scripts."""
    say = text_of.escape
    parts = [f"<!doctype html><html lang=en><meta charset=utf-8><title>bgplite API</title><style>{STYLE}</style>"]
    parts.append(
        f"<h1>bgplite API</h1><p>{say(document['info']['description'])} Version {document['info']['version']}."
    )
    parts.append("The same for programs: <a href=openapi.json>openapi.json</a> (OpenAPI 3.1).</p>")
    for heading, operations in by_group(document):
        parts.append(f"<h2>{say(heading)}</h2>")
        for method, path, each in operations:
            parts.append(f"<h3 id={each['operationId']}><code>{method} {say(path)}</code></h3>")
            parts.append(f"<p>{say(each['summary'])}. For whom: {say(each['description'])}.</p><table>")
            for one in each["parameters"]:
                kind = f"{one['in']}: {type_name(one['schema'])}"
                parts.append(_row(one["name"], kind, one.get("description", "")))
            parts += [_row(what, name, "") for what, name in body_and_answer(each)]
            parts.append("</table>")
    parts.append("<h2>Records</h2>")
    for name, schema in document["components"]["schemas"].items():
        parts.append(f"<h3 id={name}>{name}</h3><p>{say(schema.get('description', ''))}</p><table>")
        parts += [_row(*each) for each in properties(schema)]
        parts.append("</table>")
    return "".join(parts) + "</html>"


def _row(name: str, kind: str, text: str) -> str:
    say = text_of.escape
    return f"<tr><td><code>{say(name)}</code></td><td>{say(kind)}</td><td>{say(text)}</td></tr>"
