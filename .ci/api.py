"""Writes docs/api.md from the docstrings of what `bgpipe` and `bgpipe.stage` export, and docs/routeserver-api.md from
the operations of the HTTP API of `bgplite`.

python .ci/api.py            writes them
python .ci/api.py --check    exit code 1 if one of them is not what the source says
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent / "docs"
MODULES = {
    "bgpipe": "Archives, messages and filters. [The library](library.md) shows how to use them.",
    "bgpipe.stage": "For stages of your own. [Writing a stage](writing-a-stage.md) shows how to use them.",
}
EXPORTED = {module: importlib.import_module(module).__all__ for module in MODULES}
HEAD = """\
# API reference

What the library exports, from its docstrings; `make api` writes this page. Times are microseconds since 1970 (UTC)
where they are integers, and seconds where they are floats. Octets are `bytes`.
"""


def clean(text: str) -> str:
    """A docstring as Markdown: indented blocks are code."""
    lines, code = [], False
    for line in inspect.cleandoc(text).splitlines():
        if line.startswith("    ") and not code:
            lines.append("```py")
            code = True
        elif code and line.strip() and not line.startswith("    "):
            while not lines[-1]:
                lines.pop()
            lines += ["```", ""]
            code = False
        lines.append(line[4:] if code else line)
    return "\n".join([*lines, "```"] if code else lines)


def signature(name: str, value: object) -> str:
    try:
        text = str(inspect.signature(value))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return name
    text = re.sub(r"(: |-> )'([^']*)'", r"\1\2", text)  # annotations are text
    text = re.sub(r"WireContext\(as4=True, .*?assumed=False\)", "AS4", text)
    return name + re.sub(r"\(self(?:, )?", "(", text).replace("<factory>", "...")


def exported_base(value: type) -> type | None:
    """The nearest base class that has an entry of its own on the page."""
    exported = [getattr(importlib.import_module(module), name) for module in MODULES for name in EXPORTED[module]]
    return next((base for base in value.__mro__[1:] if base in exported), None)


def members(value: type) -> Iterator[tuple[str, str]]:
    """(how it is written, its docstring) of the public members of a class that have one; not those of its base."""
    base = exported_base(value)
    for name, member in inspect.getmembers_static(value):
        home = next((each for each in value.__mro__ if name in vars(each)), object)
        if name.startswith("_") or not home.__module__.startswith("bgpipe") or (base and issubclass(base, home)):
            continue
        made = member.__func__ if isinstance(member, (classmethod, staticmethod)) else member
        text = inspect.getdoc(made)
        if text and (inspect.isfunction(made) or isinstance(made, property)):
            yield signature(name, getattr(value, name)) if inspect.isfunction(made) else name, text


def describe(module: str, name: str) -> Iterator[str]:
    value = getattr(importlib.import_module(module), name)
    if inspect.isclass(value):
        yield f"### {name}\n"
        if issubclass(value, Enum):
            yield clean(value.__doc__ or "") + "\n"
            yield "".join(f"- `{each.name}`\n" for each in value)
            return
        if not issubclass(value, (Exception, tuple)) or "__init__" in vars(value):
            yield f"```text\n{signature(name, value)}\n```\n"
        yield clean(value.__doc__ or "") + "\n"
        for text, doc in members(value):
            first = doc.partition("\n\n")[0].replace("\n", " ")
            yield f"- `{text}`: {first}"
        if base := exported_base(value):
            yield f"\nIt also has the members of [{base.__name__}](#{base.__name__.lower()})."
        yield ""
    elif callable(value):
        yield f"### {name}\n\n```text\n{signature(name, value)}\n```\n"
        yield clean(value.__doc__ or "") + "\n"
    elif isinstance(value, (int, str)):
        yield f"### {name}\n\n`{value!r}`\n"
    else:
        yield f"### {name}\n\nA kind of option. In help its value is called `{value.metavar or 'nothing: a flag'}`.\n"


def page() -> str:
    parts = [HEAD]
    seen: dict[int, str] = {}
    for module, text in MODULES.items():
        parts.append(f"## {module}\n\n{text}\n")
        for name in sorted(EXPORTED[module], key=lambda name: (name.isupper(), name.lower())):
            value = getattr(importlib.import_module(module), name)
            if not isinstance(value, (int, str)) and id(value) in seen:
                parts.append(f"### {name} (the same)\n\nSee [{name}](#{name.lower()}) of `{seen[id(value)]}`.\n")
                continue
            seen[id(value)] = module
            parts += describe(module, name)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(parts))


HTTP_HEAD = """\
# The API of bgplite

What the HTTP API of [`bgplite`](routeserver.md) can be asked; `make api` writes this page. A running `bgplite` shows
the same at `/api/docs`, and at `/api/openapi.json` for programs (OpenAPI 3.1). Bodies and answers are JSON; names of
fields count in any case, and unknown ones are ignored. What is refused has a status 4xx or 5xx and `{"error": ...}`.
"""


def http_page() -> str:
    from bgpipe.routeserver.api.openapi import document
    from bgpipe.routeserver.api.reference import markdown

    return f"{HTTP_HEAD}\n{markdown(document())}"


def main() -> int:
    status = 0
    for name, text in (("api.md", page()), ("routeserver-api.md", http_page())):
        if "--check" not in sys.argv[1:]:
            (DOCS / name).write_text(text)
        elif (DOCS / name).read_text() != text:
            print(f"docs/{name} is not what the source says: run make api", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    raise SystemExit(main())
