"""Many small cases in one test.

A test costs pytest 4 ms of processor time for each case that it is parametrized with, to collect, to run and to report,
in every worker. Where a case takes less, and needs no fixture of its own, one test runs all of them and names those
that fail.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

import pytest

SHOWN = 20
"""Failures that are shown in full."""


def all_cases(
    names: str | tuple[str, ...], values: Iterable[Any], ids: Callable[[Any], object] | Iterable[object] = repr
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """As pytest.mark.parametrize, but as one test: fixtures are made once, and a case may skip itself."""
    wanted = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    cases = [case if len(wanted) > 1 else (case,) for case in values]
    labels = [str(ids(case if len(wanted) > 1 else case[0])) for case in cases] if callable(ids) else [*map(str, ids)]

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        @wraps(function)
        def run(**fixtures: Any) -> None:
            failed: list[Exception] = []
            left_out: list[BaseException] = []
            for case, label in zip(cases, labels, strict=True):
                try:
                    function(**dict(zip(wanted, case, strict=True)), **fixtures)
                except pytest.skip.Exception as reason:
                    left_out.append(reason)
                except Exception as error:
                    error.add_note(f"the case is {label}")
                    failed.append(error)
            assert cases, "there are no cases"
            if len(left_out) == len(cases):
                raise left_out[0]
            if failed:
                raise ExceptionGroup(f"{len(failed)} of {len(cases)} cases failed", failed[:SHOWN])

        signature = inspect.signature(function)
        left = [each for name, each in signature.parameters.items() if name not in wanted]
        run.__signature__ = signature.replace(parameters=left)  # type: ignore[attr-defined]
        return run

    return decorate
