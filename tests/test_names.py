"""The pages on attributes, families and names leave nothing out."""

from __future__ import annotations

from pathlib import Path

from bgpipe.wire import caps
from bgpipe.wire.attrs import KNOWN
from bgpipe.wire.ext_community_forms import FORMS
from bgpipe.wire.nlri import TABLE
from cases import all_cases

DOCS = Path(__file__).resolve().parent.parent / "docs"
RAW = ("TRAFFIC_ENG", "BGPSEC_PATH", "SFP_ATTR", "RCA", "UNSPECIFIED")
"""Attributes that are shown as octets."""


def page(name: str) -> str:
    return (DOCS / name).read_text()


@all_cases("family", TABLE, ids=str)
def test_families(family):
    assert f"`{family}`" in page("families.md")
    assert f"`{family}`" in page("names.md")


@all_cases("row", KNOWN.values(), ids=lambda row: row.name)
def test_attributes(row):
    """Each has a row among the names; one with a structure of its own has an example."""
    if row.code:
        assert f"| `{row.name}` | {row.code} |" in page("names.md")
    if row.name in RAW:
        return
    if f"`{row.name}`" not in page("json.md"):
        assert f"\n## {row.name}\n" in page("attributes.md")
        assert f'{{"attrs":{{"{row.name}":' in page("attributes.md")


@all_cases("name", [name for name, _ in FORMS.values()])
def test_extended_communities(name):
    assert f"`{name}`" in page("attributes.md")
    assert f"`{name}`" in page("names.md")


@all_cases("row", [row for row in caps.TABLE.values() if row.form is not None], ids=lambda row: row.name)
def test_capabilities(row):
    assert f"| `{row.name}` |" in page("json.md")
