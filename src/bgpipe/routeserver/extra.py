"""What the extra `server` installs: asking a running server does without it."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

MODULES: Final = ("yaml", "sqlalchemy", "aiosqlite", "alembic", "jinja2")


def missing() -> str:
    """What is not installed, in words; "" if all is."""
    names = [name for name in MODULES if find_spec(name) is None]
    return f"the server needs {', '.join(names)}: pip install 'bgpipe[server]'" if names else ""
