"""TLS contexts from the PEM files that options name."""

from __future__ import annotations

import ssl


def client_context(*, cert: str = "", key: str = "", ca: str = "", insecure: bool = False) -> ssl.SSLContext:
    """For who calls: shows `cert` if asked, trusts `ca` (the system's authorities if ""), or anybody if `insecure`.

    Raises OSError, ValueError.
    """
    context = ssl.create_default_context(cafile=ca or None)
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
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=ca or None)
    if ca:
        context.verify_mode = ssl.CERT_REQUIRED
    _load(context, cert, key)
    return context


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
