"""The output of `-v`."""

from __future__ import annotations

import platform
from importlib.util import find_spec

from .. import accel
from ..version import __version__

EXTRAS = {"isal": "faster gzip"}


def version_text() -> str:
    """The version, the Python and system it runs on, and the optional parts that make it faster."""
    system = f"{platform.python_implementation()}, {platform.system()} {platform.machine()}"
    lines = [
        f"bgpipe {__version__}",
        f"Python {platform.python_version()} ({system})",
        f"accel: {'available' if accel.AVAILABLE else accel.WHY_NOT}",
    ]
    lines += [
        f"{name}: {'available' if find_spec(name) else 'not installed'} ({purpose})" for name, purpose in EXTRAS.items()
    ]
    return "\n".join(lines) + "\n"
