"""The filter language: `compile_filter("prefix ~ 10.0.0.0/8 && as_origin == 65001")`.

A filter is parsed (syntax.py), its conditions are bound to the fields that they ask about (fields.py), negations are
moved into the leaves (logic.py), and what is left becomes closures over messages and a program for accel
(program.py, accel/select.pyx). docs/filters.md is the language as users know it.
"""

from .errors import FilterError
from .filter import Filter, compile_filter

__all__ = ["Filter", "FilterError", "compile_filter"]
