"""Paths limit (draft-abraitis-idr-addpath-paths-limit): how many paths of a prefix a speaker wants, by family.

JSON: {"families":[{"af":"IPV4/UNICAST","limit":4}]}.
"""

from __future__ import annotations

from typing import Final

from ..nlri.layout import number
from .entries import FAMILY, Entries

FORM: Final = Entries("PATHS_LIMIT", (FAMILY, number("limit", 2)))
