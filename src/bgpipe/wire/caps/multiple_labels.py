"""Multiple labels (RFC 8277 section 2.1): how many labels a speaker can have before a prefix of a family.

JSON: {"families":[{"af":"IPV4/MPLS","count":3}]}.
"""

from __future__ import annotations

from typing import Final

from ..nlri.layout import number
from .entries import FAMILY, Entries

FORM: Final = Entries("MULTIPLE_LABELS", (FAMILY, number("count", 1)))
