"""The log of pipelines that a Python program runs: the logger `bgpipe` of `logging`, silent until it is configured."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from .log import format_field

logging.getLogger("bgpipe").addHandler(logging.NullHandler())


class LibraryLog:
    """Each record has the text with its fields behind it, and the fields as `record.fields`."""

    def __init__(self, bound: Mapping[str, Any] | None = None) -> None:
        self._logger = logging.getLogger("bgpipe")
        self._bound = dict(bound or {})

    def debug(self, text: str, /, **fields: Any) -> None:
        self._log(logging.DEBUG, text, fields)

    def info(self, text: str, /, **fields: Any) -> None:
        self._log(logging.INFO, text, fields)

    def warning(self, text: str, /, **fields: Any) -> None:
        self._log(logging.WARNING, text, fields)

    def error(self, text: str, /, **fields: Any) -> None:
        self._log(logging.ERROR, text, fields)

    def bind(self, **fields: Any) -> LibraryLog:
        """A log that says these fields in every record."""
        return LibraryLog(self._bound | fields)

    def _log(self, level: int, text: str, fields: dict[str, Any]) -> None:
        if not self._logger.isEnabledFor(level):
            return
        error = fields.pop("exc_info", None)
        fields = self._bound | fields
        told = "".join(f" {key}={format_field(value)}" for key, value in fields.items())
        self._logger.log(level, "%s%s", text, told, exc_info=error, extra={"fields": fields})
