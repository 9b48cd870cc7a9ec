"""ORIGINATOR_ID (RFC 4456 section 8): the BGP identifier of the router that brought a route into the AS."""

from .ipv4 import CODEC as CODEC
