"""TLS contexts from the PEM files that options name."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any


def client_context(*, cert: str = "", key: str = "", ca: str = "", insecure: bool = False) -> ssl.SSLContext:
    """The context of a client: it presents `cert` on request, and trusts `ca` (the system's authorities if ""), or with
    `insecure` any server.

    Raises OSError, ValueError.
    """
    context = _context(ssl.Purpose.SERVER_AUTH, ca)
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    _load(context, cert, key)
    return context


def server_context(*, cert: str, key: str = "", ca: str = "") -> ssl.SSLContext:
    """The context of a server: it presents `cert`; with `ca` it accepts only clients with a certificate of these
    authorities.

    Raises OSError, ValueError.
    """
    if not cert:
        raise ValueError("a TLS server needs --cert, and --key if the key is in another file")
    context = _context(ssl.Purpose.CLIENT_AUTH, ca)
    if ca:
        context.verify_mode = ssl.CERT_REQUIRED
    _load(context, cert, key)
    return context


def explain_tls(error: Exception) -> str:
    """A text for a failed TLS handshake."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS: certificate verify failed: {error.verify_message}"
    if isinstance(error, ssl.SSLError) and error.reason:
        if error.reason == "WRONG_VERSION_NUMBER":
            return "the peer does not speak TLS"
        return f"TLS: {error.reason.lower().replace('_', ' ')}"
    if isinstance(error, ConnectionError):
        return f"TLS: {error.strerror or str(error) or 'the peer has closed the connection'}"
    return f"TLS: {error or type(error).__name__}"


def tell_failures(context: ssl.SSLContext, on_failure: Callable[[str], object]) -> None:
    """Makes a failed handshake in asyncio known to both sides.

    on_failure: called with the reason. The peer gets the alert (RFC 8446 section 6.2), which asyncio would drop. The
    connection ends when the peer closes it, or when the time for the handshake is over.
    """

    class TellingObject(ssl.SSLObject):
        _failed = False

        def do_handshake(self) -> None:
            if self._failed:
                raise ssl.SSLWantReadError
            try:
                super().do_handshake()
            except (ssl.SSLWantReadError, ssl.SSLSyscallError):
                raise
            except ssl.SSLError as error:
                self._failed = True
                on_failure(explain_tls(error))
                raise ssl.SSLWantReadError from error  # asyncio sends the alert, and waits

    context.sslobject_class = TellingObject


class AlertTap:
    """Stands for a context in one handshake, to know what asyncio leaves unsent when it fails: the alert, by which the
    peer learns why (RFC 8446 section 6.2)."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._alert = b""

    def wrap_bio(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, **settings: Any) -> ssl.SSLObject:
        """Called by asyncio."""
        made = self._context.wrap_bio(incoming, outgoing, **settings)
        shake_hands = made.do_handshake

        def do_handshake() -> None:
            try:
                shake_hands()
            except (ssl.SSLWantReadError, ssl.SSLSyscallError):
                raise
            except ssl.SSLError:
                self._alert = outgoing.read()  # asyncio would throw it away
                raise

        setattr(made, "do_handshake", do_handshake)  # noqa: B010
        return made

    def send_alert(self, connected: socket.socket) -> None:
        """Sends what is left on a socket that asyncio has not closed, a duplicate of its own."""
        with suppress(OSError):
            connected.setblocking(False)
            connected.send(self._alert)
            connected.shutdown(socket.SHUT_WR)
            while connected.recv(1 << 16):  # with unread octets the system would reset the connection, alert and all
                pass


def _context(purpose: ssl.Purpose, ca: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(purpose, cafile=ca or None)
    except ssl.SSLError as error:
        raise ValueError(f"--ca {ca}: no certificates in PEM: {error.reason or error}") from None
    except OSError as error:
        raise OSError(error.errno, f"--ca {ca}: {error.strerror}") from None


def _load(context: ssl.SSLContext, cert: str, key: str) -> None:
    if key and not cert:
        raise ValueError("--key without --cert")
    if not cert:
        return
    try:
        context.load_cert_chain(cert, key or None)
    except ssl.SSLError as error:
        raise ValueError(f"--cert {cert}: not a certificate with its key, in PEM: {error.reason or error}") from None
    except OSError as error:
        # the error does not say which of the two files it is about
        which = f"--cert {cert}" if not key or not os.access(cert, os.R_OK) else f"--key {key}"
        raise OSError(error.errno, f"{which}: {error.strerror}") from None
