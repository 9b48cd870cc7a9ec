"""LOCAL_PREF (RFC 4271 section 5.1.5): a number; the higher, the better. Between internal peers only."""

from .u32 import CODEC as CODEC
