"""What the --rpki options say."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from ..secret import read_secret
from ..tcp import check_keys, parse_bind, parse_endpoint
from ..tls import client_context
from ..url import redact

REFRESH: Final = 3600.0
RETRY: Final = 600.0
EXPIRE: Final = 7200.0
"""Seconds, where neither an option nor a cache names others (RFC 8210 section 6)."""


class SourceSpec(NamedTuple):
    """One source. kind: rtr, url or file. host, port, tls: of rtr. place: the URL or the path."""

    kind: str
    name: str
    host: str = ""
    port: int = 0
    tls: bool = False
    place: str = ""


def parse_source(text: str) -> SourceSpec:
    """A source as --rpki names it: `host:port` and `tls://host:port` are RTR, `http://` and `https://` URLs, and all
    else is a file. Raises ValueError."""
    scheme, mark, rest = text.partition("://")
    if mark and scheme in ("http", "https"):
        if not urlsplit(text).hostname:
            raise ValueError(f"{redact(text)}: not a URL")
        return SourceSpec("url", redact(text), place=text)
    if mark and scheme in ("tls", "rtr"):
        host, port = _endpoint(rest, text)
        return SourceSpec("rtr", text, host, port, scheme == "tls")
    if mark:
        raise ValueError(f"{redact(text)}: tls://, http:// or https:// is expected")
    if "/" not in text and _has_port(text):
        host, port = _endpoint(text, text)
        return SourceSpec("rtr", text, host, port)
    return SourceSpec("file", text, place=text)


def _has_port(text: str) -> bool:
    """Whether it is HOST:PORT, where a host with colons stands in brackets."""
    return ":" in text and (text.count(":") == 1 or text.startswith("["))


def _endpoint(text: str, shown: str) -> tuple[str, int]:
    host, port = parse_endpoint(text, 0)
    if not host or not port:
        raise ValueError(f"{shown}: HOST:PORT is expected")
    return host, port


@dataclass(frozen=True, slots=True)
class RpkiSettings:
    """refresh, retry, expire: seconds; None where the cache says them, or else the defaults of RFC 8210 count.
    drops_stale: whether expired data are dropped, not kept. shrinks: whether a set may shrink by more than half at
    once. version: the highest of RTR. md5: the key of TCP MD5. ca, cert, key: PEM files. bind: the IP address to
    connect from. slurm: the path of a SLURM file."""

    sources: tuple[SourceSpec, ...] = ()
    refresh: float | None = None
    retry: float | None = None
    expire: float | None = None
    drops_stale: bool = False
    shrinks: bool = False
    version: int = 2
    md5: str = field(default="", repr=False)
    ca: str = ""
    cert: str = ""
    key: str = ""
    bind: str = ""
    insecure: bool = False
    slurm: str = ""

    def check(self) -> None:
        """Raises ValueError for what can't be, which names the option."""
        if not self.sources:
            raise ValueError("--rpki: a source is expected: HOST:PORT, tls://HOST:PORT, a URL or a file")
        for name in ("refresh", "retry", "expire"):
            seconds = getattr(self, name)
            if seconds is not None and seconds <= 0:
                raise ValueError(f"--rpki-{name}: more than 0 is expected")
        if self.bind:
            try:
                parse_bind(self.bind)
            except ValueError as error:
                raise ValueError(f"--rpki-bind: {error}") from None
        if self.md5:
            try:
                check_keys(self.md5, "")
            except ValueError as error:
                raise ValueError(f"--rpki-md5: {error}") from None

    def tls_context(self) -> ssl.SSLContext:
        """Raises OSError, ValueError, whose texts name the option."""
        try:
            return client_context(cert=self.cert, key=self.key, ca=self.ca, insecure=self.insecure)
        except (OSError, ValueError) as error:
            text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise ValueError(text.replace("--", "--rpki-")) from None


def read_key(text: str) -> str:
    """The key of --rpki-md5: the text, $VARIABLE or /file. Raises ValueError, whose text tells no key."""
    if not text:
        return ""
    try:
        return read_secret(text)[0]
    except ValueError as error:
        raise ValueError(f"--rpki-md5: {error}") from None
