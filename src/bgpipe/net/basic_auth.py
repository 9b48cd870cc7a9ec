"""Basic authentication of HTTP (RFC 7617), for all that we serve over HTTP."""

from __future__ import annotations

import base64
import binascii
import hmac
from typing import Final

REALM: Final = "bgpipe"
CHALLENGE: Final = f'Basic realm="{REALM}", charset="UTF-8"'


def authorized(field: str, credentials: bytes) -> bool:
    """Whether an Authorization header field gives these credentials (`user:password`), compared in constant time."""
    scheme, _, token = field.partition(" ")
    try:
        given = base64.b64decode(token.strip(), validate=True) if scheme.lower() == "basic" else b""
    except (binascii.Error, ValueError):
        given = b""
    return hmac.compare_digest(given, credentials)


def explain_refusal(field: str) -> str:
    """What is wrong with an Authorization header field that was refused; it names the user, never the password."""
    scheme, _, token = field.partition(" ")
    if not field:
        return "no user and password"
    if scheme.lower() != "basic":
        return f"authentication of another kind than Basic: {scheme[:20]!r}"
    try:
        user = base64.b64decode(token.strip(), validate=True).partition(b":")[0].decode(errors="replace")
    except (binascii.Error, ValueError):
        return "credentials that can't be read"
    return f"wrong user or password (user {user[:40]!r})"
