"""Keys and passwords that options give or name."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Final

_OURS: Final = re.compile(r"BGPIPE_(.*_)?(MD5|AO|AUTH)")
"""Variables whose values are secrets themselves."""
_named: set[str] = set()
"""Other variables that an option has named"""


def read_secret(text: str, environment: Mapping[str, str] = os.environ) -> tuple[str, str]:
    """(the secret, where it stands): `text` itself, or the variable of `$NAME`, or the first line of `/a/file`.

    Raises ValueError, whose text tells no secret.
    """
    if text.startswith("$"):
        where = f"the variable {text}"
        _named.add(text[1:])
        if text[1:] not in environment:
            raise ValueError(f"{where} is not set")
        return environment[text[1:]], where
    if text.startswith("/"):
        try:
            with open(text, encoding="utf-8") as file:
                return file.readline().rstrip("\r\n"), f"the first line of {text}"
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
            raise ValueError(f"{text}: {reason}") from None
    return text, "it"


def without_secrets(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment for programs that bgpipe starts, without the variables that hold keys and passwords."""
    return {name: value for name, value in environment.items() if name not in _named and not _OURS.fullmatch(name)}
