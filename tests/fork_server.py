"""The command in a process of its own, without the start of an interpreter, which costs ten times what a short command
line does: a server imports all of bgpipe once, and forks a process for each command line.

Such a process has its own streams, directory, environment, signals and exit code, as any other. Tests of the start
itself, and those of streams that are closed, start an interpreter.
"""

from __future__ import annotations

import asyncio
import atexit
import gc
import importlib
import json
import os
import pkgutil
import resource
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple

COMMANDS = {"bgpipe": "bgpipe.cli.main", "bgplite": "bgpipe.routeserver.cli"}
"""Where the function `main` of each command is."""
LENGTH = 4
"""Octets before a request that say how long it is."""


class Process:
    """A command line that runs, with the members of `subprocess.Popen` that tests use.

    stdin, stdout, stderr: a file, a descriptor, PIPE or None (DEVNULL). env: its whole environment, None for ours.
    largest: octets that a file may have that it writes, 0 for any number. command: of COMMANDS.
    """

    def __init__(
        self,
        words: Iterable[str | Path],
        *,
        stdin: int | IO[Any] | None = None,
        stdout: int | IO[Any] | None = None,
        stderr: int | IO[Any] | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
        largest: int = 0,
        command: str = "bgpipe",
    ) -> None:
        environment = dict(os.environ if env is None else env)
        closing: list[int] = []
        given: list[int] = []
        pipes: list[IO[bytes] | None] = []
        for stream, mode in ((stdin, "wb"), (stdout, "rb"), (stderr, "rb")):
            pipes.append(None)
            if stream == subprocess.PIPE:
                reader, writer = os.pipe()
                mine, its = (writer, reader) if mode == "wb" else (reader, writer)
                pipes[-1] = open(mine, mode)  # noqa: SIM115
                given.append(its)
                closing.append(its)
            elif stream is None or stream == subprocess.DEVNULL:
                given.append(os.open(os.devnull, os.O_RDWR))
                closing.append(given[-1])
            else:
                given.append(stream if isinstance(stream, int) else stream.fileno())
        self.stdin, self.stdout, self.stderr = pipes
        self.args = [str(word) for word in words]
        self.returncode: int | None = None
        self._status = socket.socket(socket.AF_UNIX)
        self._status.connect(address(command, environment))
        variables = [f"{name}={value}" for name, value in environment.items()]
        request = [str(cwd or os.getcwd()), str(largest), str(len(self.args)), *self.args, *variables]
        octets = b"\0".join(map(os.fsencode, request))
        socket.send_fds(self._status, [len(octets).to_bytes(LENGTH, "big")], given)
        self._status.sendall(octets)
        for number in closing:
            os.close(number)
        self.pid = int.from_bytes(_read(self._status, 4), "big")

    def poll(self) -> int | None:
        if self.returncode is None and select.select([self._status], [], [], 0)[0]:
            self._end()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self._end()
        assert self.returncode is not None
        return self.returncode

    def _end(self) -> None:
        self.returncode = os.waitstatus_to_exitcode(int.from_bytes(_read(self._status, 4), "big"))
        self._status.close()

    def communicate(self, input: bytes = b"", timeout: float | None = None) -> tuple[bytes, bytes]:
        """Writes the input, and reads its streams to their ends; what came from stdout and stderr."""
        if self.stdin is not None and not input:
            self.stdin.close()
        rest = memoryview(input)
        found: dict[IO[bytes] | None, list[bytes]] = {self.stdout: [], self.stderr: []}
        reading = {each for each in found if each is not None}
        while reading or rest:
            readable, writable, _ = select.select(reading, [self.stdin] if rest else [], [], timeout)
            if not readable and not writable:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            for each in readable:
                found[each].append(os.read(each.fileno(), 1 << 16))
                if not found[each][-1]:
                    reading.remove(each)
                    each.close()
            if writable:
                try:
                    rest = rest[os.write(writable[0].fileno(), rest[: select.PIPE_BUF]) :]
                except BrokenPipeError:
                    rest = rest[:0]
                if not rest:
                    writable[0].close()
        self.wait(timeout)
        return b"".join(found[self.stdout] if self.stdout else ()), b"".join(found[self.stderr] if self.stderr else ())

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> Process:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is not None:
            self.kill()
        for each in (self.stdin, self.stdout, self.stderr):
            if each is not None:
                with suppress(BrokenPipeError):
                    each.close()
        self.wait()


def run(
    words: Iterable[str | Path], input: bytes = b"", timeout: float = 60, **settings: Any
) -> tuple[int, bytes, bytes]:
    """Exit code, standard output and standard error of a command line. settings: those of Process."""
    streams = {"stdin": subprocess.PIPE if input else None, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with Process(words, **(streams | settings)) as process:
        out, err = process.communicate(input, timeout)
    return process.wait(), out, err


def children(pid: int = 0) -> list[str]:
    """Processes that a process has started and not waited for, zombies too. Ours are those of this process, without the
    servers."""
    pid = pid or os.getpid()
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [each for each in found if int(each) not in _servers]


def is_alive(pid: int) -> bool:
    """Whether a process runs: it is neither gone nor something that its parent has to look at."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


# The server

_servers: list[int] = []


def _interpreter_settings(environment: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """What an interpreter reads when it starts, or bgpipe when it is imported: each such set has a server."""
    names = [name for name in environment if name.startswith("PYTHON") or name in ("BGPIPE_ACCEL", "BGPIPE_KERNEL")]
    names = [name for name in names if (name, environment[name]) != ("BGPIPE_ACCEL", "1")]  # as without it
    return tuple((name, environment[name]) for name in sorted(names))


SHARED = "TEST_FORK_SERVERS"
"""The environment variable that tells workers of pytest-xdist of the servers that their controller has started."""


def address(command: str, environment: Mapping[str, str]) -> str:
    """Where a server of a command takes requests for such an environment: an abstract address of a Unix socket."""
    settings = _interpreter_settings(environment)
    shared: dict[str, str] = json.loads(os.environ.get(SHARED, "{}"))
    return shared.get(f"{command} {settings}") or _server(command, settings)


def share() -> None:
    """Starts a server of each command for all processes that this one starts, with accel and without."""
    wanted = [(command, _interpreter_settings(os.environ)) for command in COMMANDS]
    wanted.append(("bgpipe", _interpreter_settings(os.environ | {"BGPIPE_ACCEL": "0"})))
    os.environ[SHARED] = json.dumps(
        {f"{command} {settings}": _server(command, settings) for command, settings in wanted}
    )


@cache
def _server(command: str, settings: tuple[tuple[str, str], ...]) -> str:
    name = f"\0bgpipe-tests-{os.getpid()}-{len(_servers)}"
    others = {name: value for name, value in os.environ.items() if not _interpreter_settings({name: value})}
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(name)
        listener.listen()
        process = subprocess.Popen(
            [sys.executable, "-P", "-W", "error", __file__, command, str(listener.fileno())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            pass_fds=[listener.fileno()],
            env=others | dict(settings),
            cwd="/",
        )
    _servers.append(process.pid)
    atexit.register(process.communicate)
    return name


def client(folder: Path, command: str, environment: Mapping[str, str]) -> None:
    """Writes a program with the name of the command, which does the same for a shell."""
    text = Path(__file__).with_name("fork_client.py").read_text()
    program = folder / command
    program.write_text(f"#!{sys.executable} -IS\n" + text.replace('""  # ', f"{address(command, environment)!r}  # "))
    program.chmod(0o755)


def _read(connection: socket.socket, count: int) -> bytes:
    octets = b""
    while len(octets) < count:
        piece = connection.recv(count - len(octets))
        if not piece:
            raise EOFError("the other end is gone")
        octets += piece
    return octets


class Request(NamedTuple):
    """What a process is to do."""

    folder: str
    largest: int
    words: list[str]
    environment: dict[str, str]

    @classmethod
    def decode(cls, octets: bytes) -> Request:
        folder, largest, count, *rest = map(os.fsdecode, octets.split(b"\0"))
        variables = [each.partition("=") for each in rest[int(count) :]]
        return cls(folder, int(largest), rest[: int(count)], {name: value for name, _, value in variables})


def serve(listener: socket.socket) -> Request:
    """Forks a process for each request, until standard input ends. Returns in such a process."""
    running: dict[int, socket.socket] = {}
    woken, waker = socket.socketpair()
    waker.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(waker.fileno())
    while True:
        readable = select.select([listener, woken, sys.stdin], [], [])[0]
        if sys.stdin in readable:
            os._exit(0)
        if woken in readable:
            woken.recv(1000)
            _tell_ends(running)
        if listener not in readable:
            continue
        connection = listener.accept()[0]
        length, descriptors, _, _ = socket.recv_fds(connection, LENGTH, 3)
        request = Request.decode(_read(connection, int.from_bytes(length, "big")))
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for each in (listener, woken, waker, connection, *running.values()):
                each.close()
            for number, descriptor in enumerate(descriptors):
                os.dup2(descriptor, number)
                os.close(descriptor)
            return request
        for descriptor in descriptors:
            os.close(descriptor)
        running[pid] = connection
        connection.sendall(pid.to_bytes(4, "big"))


def _tell_ends(running: dict[int, socket.socket]) -> None:
    for pid in list(running):
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            with running.pop(pid) as connection, suppress(OSError):  # whoever asked may be gone
                connection.sendall(status.to_bytes(4, "big"))


LATE = {
    "bgpipe": ("aiohttp.web", "rich.progress", "websockets.asyncio.client", "websockets.asyncio.server"),
    "bgplite": ("aiohttp.web", "alembic.command", "sqlalchemy.dialects.sqlite.aiosqlite"),
}
"""What each command imports when it is needed."""


def _import_everything(command: str) -> None:
    import bgpipe
    from bgpipe import accel

    names = [module.name for module in pkgutil.walk_packages(bgpipe.__path__, "bgpipe.")]
    for name in [*names, *LATE[command]]:
        if (command == "bgpipe" and name.startswith("bgpipe.routeserver")) or name.endswith(".__main__"):
            continue  # of another command; or it would run
        if ".migrations." in name:
            continue  # which Alembic runs
        if accel.AVAILABLE or not name.startswith("bgpipe.accel."):
            importlib.import_module(name)


def _try(command: str) -> None:
    """Does once what each process does first, so that what is kept from then on (patterns, tables of options, queries)
    is there before the first fork. No thread is left."""
    with tempfile.TemporaryDirectory() as folder:
        if command == "bgpipe":
            from bgpipe.cli.main import main

            quiet = {stream: os.dup(stream) for stream in (1, 2)}
            nothing = os.open(os.devnull, os.O_WRONLY)
            for stream in quiet:
                os.dup2(nothing, stream)
            os.close(nothing)
            Path(folder, "empty.json").touch()
            main([f"{folder}/empty.json", "--", "grep", "ipv6", "--", "write", f"{folder}/empty.mrt"])
            for stream, saved in quiet.items():
                os.dup2(saved, stream)
                os.close(saved)
        else:
            from bgpipe.routeserver.config_file import load
            from bgpipe.routeserver.store.store import Store

            Path(folder, "settings.yml").write_text("Bgp: {Asn: 65000, RouterId: 10.0.0.1}\n")
            load(Path(folder, "settings.yml"), {})

            async def open_database() -> None:
                store = Store(f"sqlite+aiosqlite:///{folder}/empty.db")
                await store.open()
                await store.close()

            asyncio.run(open_database())


def main() -> None:
    command = sys.argv[1]
    _import_everything(command)
    _try(command)
    gc.collect()
    gc.freeze()  # what is never looked at again needs no copy in each process
    request = serve(socket.socket(fileno=int(sys.argv[2])))
    os.chdir(request.folder)
    os.environ.clear()
    os.environ.update(request.environment)
    sys.path.insert(0, os.getcwd())  # as with python -m
    sys.argv = [command, *request.words]
    if request.largest:
        resource.setrlimit(resource.RLIMIT_FSIZE, (request.largest, request.largest))
    try:
        code = importlib.import_module(COMMANDS[command]).main()
    except SystemExit as end:  # of argparse
        code = end.code
    # An interpreter waits for threads, and tells of what was never closed. To take it apart costs more than all else.
    threading._shutdown()  # type: ignore[attr-defined]
    gc.collect()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
