"""Secrets of peers and lists are encrypted before a database gets them that is no file of ours.

AES-256-GCM (NIST SP 800-38D) with a nonce of its own for each text; what is encrypted can't be read in another place.
"""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

KEY_FILE: Final = "database.key"
_MARK: Final = "sealed:1:"
"""What an encrypted text begins with."""
_CLEAR: Final = "clear:1:"
"""What one begins with that is not encrypted, and looks as if it were, or as this."""
_NONCE: Final = 12
"""Octets."""
Change = Callable[[str, str], str]
"""From a text, and where it stands, to the text that takes its place."""


class SealError(Exception):
    """A text can't be encrypted or decrypted; the text says why."""


class Seal:
    """key: any text that nobody can guess. Raises SealError."""

    def __init__(self, key: str) -> None:
        try:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        except ImportError:
            raise SealError(
                "keys of peers are encrypted in this database: pip install 'bgpipe[postgres]' has what that needs "
                "(cryptography)"
            ) from None
        self._cipher = AESGCM(hashlib.sha256(key.encode()).digest())

    def close(self, text: str, place: str) -> str:
        """The text, encrypted. place: where it stands."""
        if not text:
            return text
        nonce = os.urandom(_NONCE)
        return _MARK + base64.b64encode(nonce + self._cipher.encrypt(nonce, text.encode(), place.encode())).decode()

    def close_again(self, text: str, place: str) -> str:
        """What is in the database already, encrypted."""
        return text if text.startswith(_MARK) else self.close(text.removeprefix(_CLEAR), place)

    def open(self, text: str, place: str) -> str:
        """The text again; one that was never encrypted as it is. Raises SealError."""
        if not text.startswith(_MARK):
            return text.removeprefix(_CLEAR)
        from cryptography.exceptions import InvalidTag

        try:
            octets = base64.b64decode(text.removeprefix(_MARK), validate=True)
            return self._cipher.decrypt(octets[:_NONCE], octets[_NONCE:], place.encode()).decode()
        except (InvalidTag, ValueError):
            raise SealError(f"the {place} was encrypted with another DatabaseKey: put that one back") from None


def close_without_seal(text: str, place: str) -> str:
    """The text as it is."""
    return _CLEAR + text if text.startswith((_MARK, _CLEAR)) else text


def open_without_seal(text: str, place: str) -> str:
    """Raises SealError if a text is encrypted."""
    if text.startswith(_MARK):
        raise SealError(f"the {place} is encrypted, and DatabaseKey is missing: put it back")
    return text.removeprefix(_CLEAR)


def change_peer(row: dict[str, Any], change: Change) -> dict[str, Any]:
    """A row of a peer with its secrets changed: keys, and the URLs of its own lists."""
    of = f"of the peer {row['ip']}#{row['asn']}"
    subscription = dict(row["subscription"])
    if session := subscription.get("session"):
        subscription["session"] = session | {"ao": change(session.get("ao", ""), f"TCP-AO key {of}")}
    if sources := subscription.get("sources"):
        subscription["sources"] = [each | {"url": change(each["url"], f"URL of a list {of}")} for each in sources]
    return row | {
        "md5_password": change(row["md5_password"], f"MD5 key {of}"),
        "subscription": subscription,
    }


def change_list(settings: dict[str, Any], change: Change) -> dict[str, Any]:
    """The settings of a list with its secrets changed: its URL, headers and options."""
    name = settings["Name"]
    changed = dict(settings)
    if "Url" in settings:
        changed["Url"] = change(settings["Url"], f"URL of the list {name}")
    for key, what in (("Headers", "header"), ("Options", "option")):
        if key in settings:
            changed[key] = {
                each: change(text, f"{what} {each} of the list {name}") for each, text in settings[key].items()
            }
    return changed


def kept_key(path: Path) -> str:
    """The key in a file, which is made if it is not there and that only its owner can read. Raises OSError."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text(encoding="ascii").strip()
    with open(handle, "w", encoding="ascii") as file:
        key = secrets.token_urlsafe(32)
        file.write(f"{key}\n")
        file.flush()
        os.fsync(file.fileno())
    return key
