"""Programs that bgpipe starts, connected by their standard input and output."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
import signal
from collections.abc import Callable, Sequence
from typing import IO, Final, NamedTuple

from ..tasks import Tasks
from .pipes import PipeReader, PipeWriter
from .secret import without_secrets

MAX_LINE: Final = 4096
"""Octets of the longest line of standard error. A longer one is split."""
STDERR_READ: Final = 16 << 10
"""Octets of standard error that are read at once, before other tasks run."""
STRAGGLER: Final = 1.0
"""Seconds that a program gets to end after it has closed its standard output; also, after it has ended, seconds until
an output that a child of it keeps open is closed."""


class Output(NamedTuple):
    """What a program has written until its end. code: its exit code, -N if signal N has ended it."""

    code: int
    stdout: bytes
    stderr: bytes


async def output_of(words: Sequence[str], stdin: IO[bytes] | bytes = b"", timeout: float | None = None) -> Output:
    """Runs a program to its end. stdin: what it reads. timeout: seconds, None for any time.

    Raises OSError, TimeoutError. Then, and when the task is cancelled, the program is killed.
    """
    process = await asyncio.create_subprocess_exec(
        *words,
        stdin=asyncio.subprocess.PIPE if isinstance(stdin, bytes) else stdin,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
        env=without_secrets(),
    )
    try:
        async with asyncio.timeout(timeout):
            stdout, stderr = await process.communicate(stdin if isinstance(stdin, bytes) else None)
    finally:
        if process.returncode is None:
            # Process.kill would ask first whether the program runs, and so take its exit code from who waits for it
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    return Output(process.returncode or 0, stdout, stderr)


class ChildProcess:
    """A running program, in a process group of its own, which ends with it.

    code: its exit code, -N if signal N has ended it, None while it runs.
    """

    tells_unread = True

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        stdin: PipeWriter | None,
        stdout: PipeReader | None,
        stderr: PipeReader,
        on_line: Callable[[str], None],
        keep_stdout: bool,
        tasks: Tasks,
    ) -> None:
        self._process = process
        self._stdin = stdin
        self._stdout = stdout
        self._keep_stdout = keep_stdout
        self._stderr = stderr
        self._ended = False
        self._ends = False
        """whether it has closed its standard input or output, so that it probably ends by itself"""
        self._tasks = tasks
        self._telling = tasks.spawn("standard error", self._tell(on_line))
        self._exited = tasks.spawn("wait for the program", self._exit())

    @classmethod
    async def start(
        cls,
        words: Sequence[str],
        *,
        reads: bool = True,
        writes: bool = True,
        keep_stdout: bool = False,
        on_line: Callable[[str], None] = lambda line: None,
        tasks: Tasks | None = None,
    ) -> ChildProcess:
        """Runs a program without a shell.

        reads, writes: whether its standard input and output are connected with us. keep_stdout: don't treat the end of
        its output as its end. on_line: called with each line of its standard error. tasks: the scope that owns it.
        Raises OSError.
        """
        program = find_program(words[0])
        ours: list[int] = []
        theirs: list[int] = []
        try:
            for used, out in ((reads, False), (writes, True), (True, True)):
                reading, writing = os.pipe() if used else (-1, -1)
                ours.append(reading if out else writing)
                theirs.append(writing if out else reading)
            process = await asyncio.create_subprocess_exec(
                program,
                *words[1:],
                stdin=theirs[0] if reads else asyncio.subprocess.DEVNULL,
                stdout=theirs[1] if writes else asyncio.subprocess.DEVNULL,
                stderr=theirs[2],
                start_new_session=True,
                env=without_secrets(),
            )
        except BaseException as error:
            _close(ours)
            if isinstance(error, OSError) and error.errno == errno.ENOEXEC:
                text = f"{words[0]}: can't be run: a script needs a first line such as #!/bin/sh"
                raise OSError(errno.ENOEXEC, text) from error
            raise
        finally:
            _close(theirs)
        stdin, stdout, stderr = ours
        return cls(
            process,
            PipeWriter(stdin) if reads else None,
            PipeReader(stdout) if writes else None,
            PipeReader(stderr, STDERR_READ),
            on_line,
            keep_stdout,
            tasks or Tasks(),
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def code(self) -> int | None:
        return self._process.returncode

    @property
    def waiting(self) -> int:
        return self._stdin.waiting if self._stdin is not None else 0

    @property
    def taken(self) -> int:
        return self._stdin.taken if self._stdin is not None else 0

    async def read(self) -> bytes:
        if self._stdout is not None and (octets := await self._stdout.read()):
            return octets
        if self._stdout is None or self._keep_stdout:
            await self._exited
        self._ended = self._ends = True
        return b""

    async def write(self, octets: bytes) -> None:
        assert self._stdin is not None
        try:
            await self._stdin.write(octets)
        except BrokenPipeError:
            self._ends = True
            raise

    def end(self) -> None:
        if self._stdin is not None:
            self._stdin.end()

    async def close(self, timeout: float) -> str:
        """Ends the program by SIGTERM, and after `timeout` seconds by SIGKILL. A program that has closed its input or
        output gets a moment to end by itself first, so that its own exit code is told."""
        killed = False
        self.end()
        try:
            if not self._ends or not await self._exits(STRAGGLER):
                if self.code is None:
                    killed = True
                    self._signal(signal.SIGTERM)
                await self._exits(timeout)
            self._kill()
            await self._exited
            await asyncio.wait((self._telling,), timeout=STRAGGLER)
        finally:
            self.abort()
            self._stderr.close()
        return "" if killed else explain_code(self.code)

    def abort(self) -> None:
        self._kill()
        if self._stdin is not None:
            self._stdin.close()

    def _kill(self) -> None:
        self.end()
        if self.code is None:
            self._signal(signal.SIGKILL)
        if self._stdout is not None:
            self._stdout.close()

    async def _exits(self, timeout: float) -> bool:
        done, _ = await asyncio.wait((self._exited,), timeout=timeout)
        return bool(done)

    async def _exit(self) -> None:
        """Waits for the end of the program. A silent process that still holds its output is ended too."""
        await self._process.wait()
        if self._stdout is not None:
            self._look_behind_later(self._stdout.reads)

    def _look_behind_later(self, reads: int) -> None:
        self._tasks.call_later("standard output left open", STRAGGLER, lambda: self._look_behind(reads))

    def _look_behind(self, reads: int) -> None:
        assert self._stdout is not None
        if self._ended or self._stdout.closed:
            return
        if self._stdout.blocked and self._stdout.reads == reads:
            self._signal(signal.SIGTERM)
            self._stdout.close()
        else:
            self._look_behind_later(self._stdout.reads)

    def _signal(self, number: signal.Signals) -> None:
        """Sends a signal to its process group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    async def _tell(self, on_line: Callable[[str], None]) -> None:
        """Reads standard error, line by line."""
        rest = b""
        while octets := await self._stderr.read():
            *lines, rest = (rest + octets).split(b"\n")
            while len(rest) >= MAX_LINE:
                lines.append(rest[:MAX_LINE])
                rest = rest[MAX_LINE:]
            for line in lines:
                on_line(line[:MAX_LINE].decode(errors="replace").rstrip())
            await asyncio.sleep(0)  # even if it writes without end
        if rest:
            on_line(rest.decode(errors="replace").rstrip())


def find_program(word: str) -> str:
    """The path of a program, which is searched in PATH. Raises OSError."""
    if program := shutil.which(word):
        return program
    if "/" in word and os.path.exists(word):
        raise PermissionError(errno.EACCES, f"{word}: can't be run: no permission")
    hint = ": arguments need -A" if " " in word else ""
    raise FileNotFoundError(errno.ENOENT, f"{word}: no such program{hint}")


def explain_code(code: int | None) -> str:
    """A text for an exit code, "" for success."""
    if not code:
        return ""
    if code > 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


def _close(descriptors: list[int]) -> None:
    for fd in descriptors:
        if fd >= 0:
            os.close(fd)
