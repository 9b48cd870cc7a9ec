"""Asks the API of a running bgplite."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from http.client import HTTPException
from typing import Any, Final

from ...pipeline.errors import StageError

DEFAULT_API: Final = "http://127.0.0.1:5000"
TIMEOUT: Final = 60.0
"""Seconds that an answer may take."""
TOO_MANY: Final = 429
PATIENCE: Final = 120.0
"""Seconds in which we ask again when we have asked too often (ApiRateLimit)."""


class Refusal(StageError):
    """The API does not do what was asked. reason: what it says. status: as HTTP has it."""

    def __init__(self, text: str, reason: str, status: int) -> None:
        super().__init__(text)
        self.reason = reason
        self.status = status


class Client:
    """url: of the API. token: "" to show none."""

    def __init__(self, url: str, token: str = "") -> None:
        self.url = url.rstrip("/")
        self._token = token

    def get(self, path: str, **query: object) -> Any:
        """The JSON of an answer. query: None for what is not asked. Raises StageError."""
        return self.send("GET", path, None, **query)

    def send(self, method: str, path: str, body: object = None, **query: object) -> Any:
        """The JSON of an answer to a request that changes something. Raises StageError."""
        octets = self.text(method, path, body, **query)
        try:
            return json.loads(octets)
        except ValueError:
            raise self.no_api() from None

    def text(self, method: str, path: str, body: object = None, **query: object) -> bytes:
        """An answer. Raises StageError."""
        request = self._request(method, path, body, query)
        until = time.monotonic() + PATIENCE
        while True:
            try:
                with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
                    octets: bytes = answer.read()
                    return octets
            except urllib.error.HTTPError as error:
                if error.code == TOO_MANY and time.monotonic() < until:
                    time.sleep(1)
                    continue
                reason = _reason(error)
                raise Refusal(f"{self.url}: {reason}", reason, error.code) from None
            except (OSError, ValueError, HTTPException) as error:
                raise self._no_answer(error) from None

    def lines(self, path: str, **query: object) -> Iterator[str]:
        """The lines of server-sent events, as they come. Raises StageError."""
        try:
            with urllib.request.urlopen(self._request("GET", path, None, query), timeout=TIMEOUT) as answer:
                if answer.headers.get_content_type() != "text/event-stream":
                    raise self.no_api()
                for octets in answer:
                    yield octets.decode().rstrip("\n")
        except urllib.error.HTTPError as error:
            reason = _reason(error)
            raise Refusal(f"{self.url}: {reason}", reason, error.code) from None
        except (OSError, ValueError, HTTPException) as error:
            raise self._no_answer(error) from None

    def no_api(self) -> StageError:
        """What is raised where something else answers."""
        return StageError(
            f"{self.url}: this is not the API of bgplite, or not of this version; --api says where that is"
        )

    def _no_answer(self, error: Exception) -> StageError:
        why = error.reason if isinstance(error, urllib.error.URLError) else error
        return StageError(f"{self.url}: {why}; is bgplite running? --api says where")

    def _request(self, method: str, path: str, body: object, query: Mapping[str, object]) -> urllib.request.Request:
        """Raises StageError."""
        asked = {name: value for name, value in query.items() if value is not None}
        url = f"{self.url}{path}" + (f"?{urllib.parse.urlencode(asked)}" if asked else "")
        if not url.startswith(("http://", "https://")):
            raise StageError(f"--api {self.url}: a URL that begins with http:// or https:// is expected")
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        return urllib.request.Request(url, data=data, method=method, headers=headers)

    def peer(self, address: str) -> Mapping[str, Any]:
        """The peer at an address, or at ADDRESS#AS. Raises StageError if there is none, or more than one."""
        ip, _, asn = address.partition("#")
        found = [each for each in self.get("/api/peers") if each["ip"] == ip and asn in ("", str(each["asn"]))]
        if not found:
            raise StageError(f"there is no peer {address}")
        if len(found) > 1:
            several = ", ".join(f"{ip}#{each['asn']}" for each in found)
            raise StageError(f"there are several peers at {ip}: say one of {several}")
        peer: Mapping[str, Any] = found[0]
        return peer

    def path(self, address: str, more: str = "") -> str:
        """Where a peer is. Raises StageError."""
        return f"/api/peers/{self.peer(address)['id']}{more}"


def quoted(name: str) -> str:
    """A name in a path."""
    return urllib.parse.quote(name, safe="")


def _reason(error: urllib.error.HTTPError) -> str:
    try:
        reason = str(json.loads(error.read())["error"])
    except (ValueError, KeyError, TypeError):
        return f"the server answered {error.code}"
    return f"{reason} (--token, or BGPLITE_TOKEN)" if error.code == 401 else reason
