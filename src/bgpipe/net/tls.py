"""TLS contexts from the PEM files that options name."""

from __future__ import annotations

import ssl


def client_context(*, cert: str = "", key: str = "", ca: str = "", insecure: bool = False) -> ssl.SSLContext:
    """For who calls: shows `cert` if asked, trusts `ca` (the system's authorities if ""), or anybody if `insecure`.

    Raises OSError, ValueError.
    """
    context = _context(ssl.Purpose.SERVER_AUTH, ca)
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    _load(context, cert, key)
    return context


def server_context(*, cert: str, key: str = "", ca: str = "") -> ssl.SSLContext:
    """For who is called: shows `cert`; with `ca`, takes only clients with a certificate of these authorities.

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
    """Why a handshake has failed, in words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS: certificate verify failed: {error.verify_message}"
    if isinstance(error, ssl.SSLError) and error.reason:
        if error.reason == "WRONG_VERSION_NUMBER":
            return "TLS: the peer does not speak it"
        return f"TLS: {error.reason.lower().replace('_', ' ')}"
    if isinstance(error, ConnectionError):
        return f"TLS: {error.strerror or str(error) or 'the peer has closed the connection'}"
    return f"TLS: {error or type(error).__name__}"


def _context(purpose: ssl.Purpose, ca: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(purpose, cafile=ca or None)
    except ssl.SSLError as error:
        raise ValueError(f"{ca}: no certificates in PEM: {error.reason or error}") from None
    except OSError as error:
        raise OSError(error.errno, f"{ca}: {error.strerror}") from None


def _load(context: ssl.SSLContext, cert: str, key: str) -> None:
    if key and not cert:
        raise ValueError("--key without --cert")
    if not cert:
        return
    try:
        context.load_cert_chain(cert, key or None)
    except ssl.SSLError as error:
        raise ValueError(f"{cert}: not a certificate with its key, in PEM: {error.reason or error}") from None
    except OSError as error:
        raise OSError(error.errno, f"{key or cert}: {error.strerror}") from None
