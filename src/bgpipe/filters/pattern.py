"""Regular expressions by RE2: time linear in the text, whatever the pattern."""

from __future__ import annotations

from collections.abc import Callable

from .errors import ConditionError


def compile_pattern(pattern: str) -> Callable[[str], bool]:
    """Whether a text has a match of `pattern` anywhere. Raises ConditionError."""
    import re2  # here, because few filters need it

    options = re2.Options()
    options.log_errors = False  # RE2 would write to stderr itself
    options.never_capture = True
    try:
        search = re2.compile(pattern.encode(), options).search
    except UnicodeEncodeError:
        raise ConditionError("value", "invalid regex: not Unicode") from None
    except re2.error as error:
        reason = error.args[0] if error.args else b""
        text = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        # "missing ): (a" says what part of the pattern is meant, not where it is
        offset = pattern.rfind(text.partition(": ")[2])
        raise ConditionError("value", f"invalid regex: {text}", max(offset, 0)) from None
    return lambda text: search(text.encode(errors="replace")) is not None
