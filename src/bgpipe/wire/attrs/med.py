"""MULTI_EXIT_DISC (RFC 4271 section 5.1.4): a number; the lower, the better."""

from .u32 import CODEC as CODEC
