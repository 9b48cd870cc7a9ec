"""The options of stages with TCP connections: keys, TTL and TLS; and those that connect and listen have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...net.secret import read_secret
from ...net.tcp import TcpOptions, check_keys
from ...pipeline.errors import ConfigError
from ...pipeline.options import DURATION, FLAG, INTEGER, TEXT, Option, choice
from ...pipeline.stage import Producing
from ...session.error_handler import POLICIES

if TYPE_CHECKING:
    from ssl import SSLContext


class TcpStage(Producing):
    """Options of a TCP connection."""

    md5 = Option(
        TEXT, "", "sign the session with TCP MD5 (RFC 2385): the key, $VARIABLE or /file", metavar="KEY", secret=True
    )
    ao = Option(
        TEXT,
        "",
        "authenticate the session with TCP-AO (RFC 5925): ID:KEY, $VARIABLE or /file",
        metavar="ID:KEY",
        secret=True,
    )
    ttl = Option(INTEGER, 0, "TTL of the packets that we send; 0 leaves it to the system", metavar="N")
    min_ttl = Option(
        INTEGER,
        0,
        "accept only packets with at least this TTL (GTSM, RFC 5082); 255: only from direct neighbours",
        metavar="N",
    )
    keepalive = Option(DURATION, 15.0, "time between TCP keepalives; 0 or less sends none")
    tls = Option(FLAG, False, "use TLS")
    cert = Option(TEXT, "", "our certificate, as a PEM file", metavar="FILE")
    key = Option(TEXT, "", "the key of our certificate, as a PEM file", metavar="FILE")
    ca = Option(TEXT, "", "accept only certificates of these authorities: a PEM file", metavar="FILE")
    transparent: bool | Option[bool] = False

    def check_options(self) -> None:
        """Raises ConfigError."""
        for name, ttl in (("ttl", self.ttl), ("min-ttl", self.min_ttl)):
            if not 0 <= ttl < 256:
                raise ConfigError(f"--{name}: 0 to 255 is expected")
        for name in ("md5", "ao"):
            if self.values.get(name) == "":  # from an unset variable: the session must not go on without a signature
                raise ConfigError(f"--{name}: the key is empty")
        try:
            check_keys(*("" if key.startswith("/") else self._key(name) for name, key in self._keys))
        except ValueError as error:
            raise ConfigError(str(error)) from None
        unused = [f"--{name}" for name in ("cert", "key", "ca", "insecure") if name in self.explicit]
        if unused and not self.tls:
            raise ConfigError(f"{', '.join(unused)}: only with --tls")

    @property
    def _keys(self) -> tuple[tuple[str, str], tuple[str, str]]:
        return ("md5", self.md5), ("ao", self.ao)

    def _key(self, name: str) -> str:
        """The key that an option says, or names a variable or a file for. Raises ValueError."""
        text: str = self.values.get(name, "")
        if not text:
            return ""
        try:
            key, where = read_secret(text)
        except ValueError as error:
            raise ValueError(f"--{name}: {error}") from None
        if not key:
            raise ValueError(f"--{name}: the key is empty: {where} is empty")
        return key

    def tcp_options(self) -> TcpOptions:
        """Raises OSError, ValueError where a file for TLS, or one with a key, can't be used."""
        md5, ao = self._key("md5"), self._key("ao")
        check_keys(md5, ao)
        return TcpOptions(
            md5=md5,
            ao=ao,
            ttl=self.ttl,
            min_ttl=self.min_ttl,
            transparent=bool(self.transparent),
            keepalive=self.keepalive,
            tls=self.tls_context() if self.tls else None,
        )

    def tls_context(self) -> SSLContext:
        """Raises OSError, ValueError."""
        raise NotImplementedError


class PeerOptions(TcpStage):
    """Options for a peer and its TCP connection."""

    transparent = Option(FLAG, False, "use the addresses of the routers as our own (IP_TRANSPARENT)")
    closed_timeout = Option(
        DURATION, 1.0, "when closing, wait at most this long until the peer has taken the last octets"
    )
    malformed = Option(
        choice(*POLICIES),
        "auto",
        "what to do with a malformed UPDATE; auto follows RFC 7606. If not given, only UPDATEs that a stage decodes "
        "are checked",
    )
