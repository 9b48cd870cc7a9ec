"""Servers over HTTP that the route server asks: of lists, and of whatever a handler answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class ListServer(ThreadingHTTPServer):
    """Serves `content` at every path, or `answers` by the beginning of the path, with an ETag.

    asked: (path, status) of each request.
    """

    daemon_threads = True

    def __init__(self) -> None:
        self.content = b"9.9.9.0/24\n10.0.0.0/8\n"
        self.answers: dict[str, bytes] = {}
        self.status = 200
        self.asked: list[tuple[str, int]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                places = (octets for path, octets in server.answers.items() if self.path.startswith(path))
                content = next(places, server.content)
                etag = f'"{hash(content)}"'
                same = self.headers.get("If-None-Match") == etag
                status = 304 if same and server.status == 200 else server.status
                server.asked.append((self.path, status))
                self.send_response(status)
                self.send_header("ETag", etag)
                if status == 302:
                    self.send_header("Location", "http://127.0.0.1/")
                self.send_header("Content-Length", "0" if status == 304 else str(len(content)))
                self.end_headers()
                if status != 304:
                    self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/list.txt"


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Runs a server with this handler, and gives its URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
