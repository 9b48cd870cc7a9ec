"""The table of operations: its OpenAPI document, the pages made from it, and that answers are what it says."""

from __future__ import annotations

import re
import runpy
import sys
from html.parser import HTMLParser
from pathlib import Path

from bgpipe.routeserver.api.openapi import document
from bgpipe.routeserver.api.operations import OPERATIONS
from bgpipe.routeserver.api.reference import html, markdown
from cases import all_cases

HERE = Path(__file__).resolve().parent.parent.parent


def references(shown: object) -> set[str]:
    if isinstance(shown, dict):
        found = {shown["$ref"]} if "$ref" in shown else set()
        return found.union(*map(references, shown.values()))
    return set().union(*map(references, shown)) if isinstance(shown, list) else set()


def test_every_operation_is_in_the_document_with_its_types():
    shown = document()
    assert shown["openapi"] == "3.1.0"
    for operation in OPERATIONS:
        each = shown["paths"][operation.path][operation.method.lower()]
        assert each["operationId"] == operation.name
        assert ("requestBody" in each) == (operation.body is not None)
        places = {one["name"] for one in each["parameters"] if one["in"] == "path"}
        assert places == set(re.findall(r"\{(\w+)\}", operation.path))
    assert {name.rpartition("/")[2] for name in references(shown)} <= shown["components"]["schemas"].keys()


def test_names_of_operations_and_records_stand_for_one_thing_each():
    names = [operation.name for operation in OPERATIONS]
    assert len(set(names)) == len(names)
    places = [(operation.method, operation.path) for operation in OPERATIONS]
    assert len(set(places)) == len(places)


@all_cases("operation", OPERATIONS, ids=lambda each: each.name)
def test_every_operation_says_what_it_answers(operation):
    assert operation.answer is not None or operation.media != ("application/json",)
    assert operation.summary
    assert not operation.body or operation.method != "GET"
    assert operation.role in ("anyone", "reader", "operator", "admin")
    assert not operation.changes or operation.role in ("operator", "admin")


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [value or "" for name, value in attributes if name in ("src", "href", "action", "data")]


def test_the_page_of_documentation_loads_nothing():
    page = Page(text := html(document()))
    assert page.tags.count("h3") >= len(OPERATIONS)
    assert {"script", "img", "link", "iframe"} & set(page.tags) == set()
    assert page.links == ["openapi.json"]
    assert "url(" not in text
    assert "@import" not in text


def test_the_page_in_the_documentation_is_that_of_the_operations(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["api.py", "--check"])
    assert (runpy.run_path(str(HERE / ".ci/api.py"))["main"](), *capsys.readouterr()) == (0, "", "")
    assert all(f"`{each.method} {each.path}`" in markdown(document()) for each in OPERATIONS)
