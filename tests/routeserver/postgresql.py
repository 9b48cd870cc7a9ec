"""A PostgreSQL server for tests: that of the machine, with a folder of its own, on an address of loopback."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

NOBODY = 65534
PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin")


def missing() -> str:
    """Why there is none; "" if there is one."""
    if find_spec("asyncpg") is None:
        return "asyncpg is not installed: pip install 'bgpipe[postgres]'"
    return "" if program("initdb") else "PostgreSQL is not installed"


def program(name: str) -> str:
    found = [str(path) for place in PLACES for path in sorted(Path("/").glob(f"{place[1:]}/{name}"))]
    return found[-1] if found else shutil.which(name) or ""


class PostgreSql:
    """folder: of its data. url: as SQLAlchemy wants it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"postgresql+asyncpg://bgplite:sesame-of-postgres@127.0.0.1:{self.port}/postgres"

    def run(self, name: str, *words: str) -> None:
        """Root may not run PostgreSQL, so nobody does."""
        user = NOBODY if os.geteuid() == 0 else None
        subprocess.run(
            [program(name), *words], user=user, group=user, cwd="/", check=True, timeout=60,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def create(self) -> None:
        data, password = self.folder / "pg", self.folder / "password"
        data.mkdir(mode=0o700)
        password.write_text("sesame-of-postgres\n")
        if os.geteuid() == 0:
            for path in (data, password):
                os.chown(path, NOBODY, NOBODY)
        self.run("initdb", "-D", str(data), "-U", "bgplite", "-A", "scram-sha-256", f"--pwfile={password}", "--no-sync")

    def start(self) -> None:
        options = f"-h 127.0.0.1 -p {self.port} -c unix_socket_directories= -c fsync=off"
        self.run("pg_ctl", "-D", str(self.folder / "pg"), "-w", "-o", options, "start")

    def stop(self) -> None:
        self.run("pg_ctl", "-D", str(self.folder / "pg"), "-w", "-m", "immediate", "stop")


@contextmanager
def postgresql(folder: Path) -> Iterator[PostgreSql]:
    """A server that runs. folder: one that everybody may enter."""
    server = PostgreSql(folder)
    server.create()
    server.start()
    try:
        yield server
    finally:
        if (folder / "pg" / "postmaster.pid").exists():
            server.stop()
