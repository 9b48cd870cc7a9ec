"""The pages: texts in two languages, forms."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from typing import get_args

import pytest

from bgpipe.routes.explain import Outcome
from bgpipe.routeserver import page
from bgpipe.routeserver.events import Kind
from bgpipe.routeserver.management import Refused
from bgpipe.routeserver.page.forms import CHOICES, NUMBERS, lines, subscription
from bgpipe.routeserver.page.messages import MESSAGES, in_russian
from bgpipe.routeserver.page.texts import TEXTS, choose, say_in, tell_in

FOLDER = Path(page.__file__).parent
TEMPLATES = "\n".join(path.read_text() for path in FOLDER.glob("templates/*.html"))
CODE = [path for folder in ("routeserver", "routes", "wire") for path in (FOLDER.parent.parent / folder).rglob("*.py")
        if path.name != "messages.py"]  # fmt: skip
STATES = {"active", "barred", "inactive", "pending"}
"""Texts that are values of a peer."""


def test_every_text_has_a_translation_and_is_used():
    pages = (FOLDER / "pages.py").read_text()
    said = set(re.findall(r"say\(\"([^\"]+)\"", TEMPLATES)) | STATES | {*NUMBERS.values()}
    said = said.union(*CHOICES.values())
    assert said | {text for text in TEXTS if f'"{text}"' in TEMPLATES + pages} == set(TEXTS)


def test_the_script_follows_every_kind_of_event():
    script = (FOLDER / "static/events.js").read_text()
    assert set(re.findall(r'"(\w+\.\w+)"', script)) == set(get_args(Kind))


def test_the_translation_is_one():
    for english, russian in TEXTS.items():
        assert english.count("%d") == russian.count("%d"), english
        assert english.count("%s") == russian.count("%s"), english
        assert re.search("[а-яё]", russian, re.IGNORECASE), english


RAISED = re.compile(r"""(?:Refused|ValueError)\(\s*f?(["'])(.*?)\1""")
"""Texts of errors that a form can have."""


def test_messages_are_those_that_there_are():
    """Every outcome, every reason for no routes, and all that the checks of a form say have a Russian text; and each
    Russian text is that of something that the route server says."""
    code = "\n".join(path.read_text() for path in CODE)
    for english in MESSAGES:
        for part in re.split(r"\{\}|: ", english):
            assert part.strip("'") in code or part == os.strerror(errno.ENOENT), english
    for text in Outcome:
        assert re.search("[а-яё]", in_russian(str(text))), text
    reasons = re.findall(r'return f?"([^"]{12,})"', (FOLDER.parent / "tables.py").read_text())
    assert len(reasons) > 3
    checks = "\n".join(
        (FOLDER.parent / name).read_text() for name in ("rule_checks.py", "page/forms.py", "page/pages.py")
    )
    for text in (*reasons, *(found[1] for found in RAISED.findall(checks))):
        filled = re.sub(r"\{.*?\}", "7", text)
        if re.search("[a-z]{2}", filled):
            assert re.search("[а-яё]", in_russian(filled)), text


@pytest.mark.parametrize(
    ("english", "russian"),
    [
        ("exclude: '1.2.3/33': an IP address or a network such as 192.0.2.0/24 is expected",
         "exclude: '1.2.3/33': ожидается адрес IP или сеть, например 192.0.2.0/24"),
        ("nothing was announced yet: lists are being read for the first time: a, b",
         "ещё ничего не анонсировано: списки читаются впервые: a, b"),
        ("list a: it has shrunk from 9 to 2 prefixes", "список a: он уменьшился: было префиксов 9, стало 2"),
        ("[Errno 5] odd", "[Errno 5] odd"),
        ("list " + 9999 * "a: ", "list " + 9999 * "a: "),
    ],
)  # fmt: skip
def test_a_message_in_russian(english, russian):
    assert in_russian(english) == russian
    assert tell_in("ru")(english) == russian
    assert tell_in("en")(english) == english
    assert tell_in("ru")(None) == ""


def test_what_is_said():
    text = "%d would be announced: %d would come, %d would go"
    assert say_in("en")(text, 7, 2, 1) == "7 would be announced: 2 would come, 1 would go"
    assert say_in("ru")(text, 7, 2, 1) == "будет анонсировано: 7; добавится: 2, исчезнет: 1"
    assert say_in("ru")("Established") == "Established"  # a word of the protocol


@pytest.mark.parametrize(
    ("asked", "accepted", "language"),
    [
        ("", "", "en"),
        ("ru", "en", "ru"),
        ("xx", "ru-RU,ru;q=0.9,en;q=0.8", "ru"),
        ("", "de, en;q=0.5, ru;q=0.7", "ru"),
        ("", "ru;q=nonsense, en;q=0.1", "en"),
    ],
)
def test_the_language(asked, accepted, language):
    assert choose(asked, accepted) == language


def test_a_form_as_fields():
    said = {
        "lists": ["cloud", "a b"],
        "custom_prefixes": ["192.0.2.0/24\r\n 2001:db8::/32, 198.51.100.1"],
        "custom_asns": ["AS64500 64501"],
        "description": [" here "],
    }
    assert subscription(said) == {
        "lists": ("cloud", "a b"),
        "custom_prefixes": ("192.0.2.0/24", "2001:db8::/32", "198.51.100.1"),
        "exclude": (),
        "communities": (),
        "custom_asns": (64500, 64501),
        "description": "here",
    }


def test_limits_and_entries_of_a_form():
    text = "192.0.2.1/32 community=65535:666 community=no-export\n  expires=2030-01-01T00:00:00Z\n"
    text += "10.0.0.0/8 med=5 prepends=1"
    found = subscription({"custom_prefixes": [text], "max_routes": ["7"], "union": ["no"], "max_foreign": [""]})
    first, second = found["custom_prefixes"]
    assert (first.prefix, first.communities, first.expires) == (
        "192.0.2.1/32", ("65535:666", "no-export"), "2030-01-01T00:00:00Z",
    )  # fmt: skip
    assert (second.med, second.prepends) == (5, 1)
    assert subscription({"custom_prefixes": [lines((first, "9.9.9.9", second))]})["custom_prefixes"] == (
        first, "9.9.9.9", second,
    )  # fmt: skip
    assert {name: found[name] for name in ("max_routes", "union", "max_foreign")} == {
        "max_routes": 7, "union": False, "max_foreign": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    "said",
    [
        {"max_routes": ["many"]},
        {"max_routes": ["-1"]},
        {"union": ["maybe"]},
        {"custom_prefixes": ["med=1"]},
        {"custom_prefixes": ["10.0.0.0/8 med=x"]},
        {"exclude": ["10.0.0.0/8 colour=red"]},
    ],
)
def test_no_limit_and_no_entry(said):
    with pytest.raises(Refused):
        subscription(said)


@pytest.mark.parametrize("text", ["AS", "x", "-1", "1.5", "٣", "99999999999"])
def test_no_as_number(text):
    with pytest.raises(Refused):
        subscription({"custom_asns": [text]})
