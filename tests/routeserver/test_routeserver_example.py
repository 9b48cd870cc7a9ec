"""appsettings.example.yml: it can be used as it is, and with every line that is commented out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct, inspect

from bgpipe.routeserver.config import Config
from bgpipe.routeserver.config_file import load

EXAMPLE = Path(__file__).resolve().parent.parent.parent / "appsettings.example.yml"
KEY = re.compile(r"^( *)# ((?:  )*(?:- )?[A-Z]\w*:.*)$", re.MULTILINE)


def keys(kind: type[Struct]) -> Iterator[str]:
    """The keys of a record, and of the records in it."""
    for field in inspect.type_info(kind).fields:
        yield field.encode_name
        for inner in (field.type, *getattr(field.type, "types", ()), getattr(field.type, "item_type", None)):
            if isinstance(inner, inspect.StructType):
                yield from keys(inner.cls)


def test_as_it_is():
    config = load(EXAMPLE, {})
    assert config.default_prefix_source == "cloudflare"
    assert {each.name for each in config.prefix_sources} == {"cloudflare", "ru"}  # README and pages name them


def test_with_all_that_is_commented_out(tmp_path, monkeypatch):
    monkeypatch.setenv("DATABASE_KEY", "of at least 32 characters, as it must be")
    monkeypatch.setenv("BGP_KEY", "one")
    monkeypatch.setenv("OFFICE_KEY", "two")
    monkeypatch.setenv("OFFICE_AO", "1:three")
    monkeypatch.setenv("OFFICE_AO_NEW", "2:four")
    text = KEY.sub(r"\1\2", EXAMPLE.read_text())
    path = tmp_path / "appsettings.yml"
    path.write_text(text)
    config = load(path, {})
    assert config.peers
    assert config.bgp.listeners
    named = set(re.findall(r"\b([A-Z]\w*):", text))
    assert [key for key in keys(Config) if key not in named] == []  # a new key has a line there
