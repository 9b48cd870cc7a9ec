"""Pipes, FIFOs and Unix sockets to another program, in one direction or both."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import select
import socket
import stat
import sys
import termios
from typing import Final, Protocol

from ..tasks import Readiness

READ: Final = 1 << 18
"""Octets read at once."""


class Link(Protocol):
    """A connection to another program, in both directions."""

    @property
    def waiting(self) -> int:
        """Octets that were written and that the other program has not read yet."""

    @property
    def taken(self) -> int:
        """Octets that the other program has read so far, as far as can be known."""

    @property
    def tells_unread(self) -> bool:
        """Whether octets that are not `taken` after `close` were certainly not read, and never will be."""

    async def read(self) -> bytes:
        """Reads octets; b"" at the end. Raises OSError."""

    async def write(self, octets: bytes) -> None:
        """Writes octets, and returns when the link has taken them. Raises OSError; BrokenPipeError if the other program
        has stopped reading."""

    def end(self) -> None:
        """Says that no more octets will be written."""

    async def close(self, timeout: float) -> str:
        """Closes the link, by force after `timeout` seconds. Returns the error of the other program, "" if there is
        none."""

    def abort(self) -> None:
        """Closes at once. A waiting read ends."""


class PipeReader:
    """The reading end of a pipe or socket. It owns the file descriptor.

    reads: how often a read has given octets.
    """

    def __init__(self, fd: int, size: int = READ) -> None:
        """size: octets that are read at once, at most."""
        self._fd = fd
        self._size = size
        os.set_blocking(fd, False)
        self._ready = Readiness()
        self.reads = 0

    @property
    def closed(self) -> bool:
        return self._fd < 0

    @property
    def blocked(self) -> bool:
        """Whether a read waits for octets."""
        return self._ready.waiting

    async def read(self) -> bytes:
        """The next octets, as soon as there are some; b"" at the end. Raises OSError."""
        while self._fd >= 0:
            try:
                octets = os.read(self._fd, self._size)
            except BlockingIOError:
                await self._ready.wait(self._fd)
            else:
                self.reads += 1
                return octets
        return b""

    def close(self) -> None:
        """Closes the pipe, and ends a read that waits."""
        if self._fd >= 0:
            self._ready.wake()
            os.close(self._fd)
            self._fd = -1


class PipeWriter:
    """The writing end of a pipe or socket. It owns the file descriptor."""

    def __init__(self, fd: int, unread: int = termios.FIONREAD) -> None:
        """unread: the request (ioctl) that asks how many octets nobody has read yet."""
        self._fd = fd
        self._request = unread
        os.set_blocking(fd, False)
        self._ready = Readiness(writes=True)
        self._unwritten = 0
        self._written = 0
        self._taken = 0
        self._watched = -1
        """the other end of a pipe that we have closed; it shows how much of the pipe was read"""

    @property
    def waiting(self) -> int:
        """Octets that were written, and that the other program has not read yet."""
        return self._unwritten + self._written - self.taken

    @property
    def taken(self) -> int:
        """Octets that the other program has read. Octets that are not read stay in the pipe, even if it never reads
        again."""
        fd = self._fd if self._fd >= 0 else self._watched
        if fd >= 0:
            answer = bytearray(4)
            try:
                fcntl.ioctl(fd, self._request, answer)
            except OSError:
                self._taken = self._written  # the system does not know the request
            else:
                self._taken = max(self._taken, self._written - int.from_bytes(answer, sys.byteorder))
        return self._taken

    async def write(self, octets: bytes) -> None:
        """Writes octets, and returns when all are in the pipe. Raises OSError; BrokenPipeError if there is no
        reader."""
        view = memoryview(octets)
        while view:
            if self._fd < 0:
                raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
            self._unwritten = len(view)
            try:
                count = os.write(self._fd, view)
            except BlockingIOError:
                await self._ready.wait(self._fd)
            else:
                self._written += count
                view = view[count:]
        self._unwritten = 0

    def end(self) -> None:
        """Ends the writing. The reader sees the end of the stream; `taken` grows as it reads on, until `close`."""
        if self._fd >= 0 and self._request == termios.FIONREAD:
            with contextlib.suppress(OSError):  # without /proc it is not known how much was read
                self._watched = os.open(f"/proc/self/fd/{self._fd}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._close()

    def close(self) -> None:
        """Closes the pipe. A write that waits fails."""
        self._taken = self.taken
        self._close()
        if self._watched >= 0:
            os.close(self._watched)
            self._watched = -1

    def leave(self) -> None:
        """As `close`. If another program has the reading end open, octets in the pipe count as taken, because it can
        read them."""
        if self._fd >= 0:
            poll = select.poll()
            poll.register(self._fd, select.POLLOUT)
            read = not any(event & select.POLLERR for _, event in poll.poll(0))
            self.close()
            if read:
                self._taken = self._written

    def _close(self) -> None:
        if self._fd >= 0:
            self._taken = self.taken
            self._ready.wake()
            os.close(self._fd)
            self._fd = -1


class Fifos:
    """A FIFO to write to, one to read from, or both. A single FIFO for both ways would give us our own octets back.

    We keep both ends of each open, so that programs may come and go: octets wait for the next reader, and a writer that
    goes does not end the input.
    """

    tells_unread = True

    def __init__(self, outgoing: str, incoming: str) -> None:
        """Paths, "" for none. Of two, the second is made if it isn't there, and removed at the end. Raises OSError."""
        self._made: list[str] = []
        self._kept: list[int] = []
        self._reader: PipeReader | None = None
        self._writer: PipeWriter | None = None
        self._closed = asyncio.Event()
        try:
            if incoming:
                if outgoing:
                    self._make(incoming)
                self._reader = PipeReader(self._open(incoming, os.O_RDONLY))
                self._kept.append(self._open(incoming, os.O_WRONLY))
            # last: a shell that waits for it in `program <FIFO >FIFO.reply` would create the other one as a file
            if outgoing:
                self._kept.append(self._open(outgoing, os.O_RDWR))
                self._writer = PipeWriter(self._open(outgoing, os.O_WRONLY))
        except BaseException:
            self.abort()
            raise

    def _make(self, path: str) -> None:
        with contextlib.suppress(FileExistsError):
            os.mkfifo(path, 0o600)
            self._made.append(path)

    def _open(self, path: str, flags: int) -> int:
        fd = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
        if not stat.S_ISFIFO(os.fstat(fd).st_mode):
            os.close(fd)
            raise OSError(errno.EINVAL, f"{path}: neither a FIFO nor a Unix socket")
        return fd

    @property
    def waiting(self) -> int:
        return self._writer.waiting if self._writer is not None else 0

    @property
    def taken(self) -> int:
        return self._writer.taken if self._writer is not None else 0

    async def read(self) -> bytes:
        if self._reader is not None:
            return await self._reader.read()
        await self._closed.wait()
        return b""

    async def write(self, octets: bytes) -> None:
        assert self._writer is not None
        await self._writer.write(octets)

    def end(self) -> None:
        """Ends the writing. The reader sees the end of the stream; when it has ended too, the input ends."""
        for fd in self._kept:
            os.close(fd)
        self._kept.clear()
        if self._writer is not None:
            self._writer.leave()
        if self._reader is None:
            self._closed.set()

    async def close(self, timeout: float) -> str:
        self.abort()
        return ""

    def abort(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self.end()
        if self._reader is not None:
            self._reader.close()
        self._closed.set()
        for path in self._made:
            with contextlib.suppress(OSError):
                os.unlink(path)
        self._made.clear()


class UnixSocket:
    """A connection to a program that listens at a Unix stream socket.

    When the program closes it without having read everything, the system forgets how much that was, but says so: then
    what it had not read when we last looked counts as unread. How much that is, the system tells in memory, so that it
    is too much until all is read.
    """

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._taken = 0
        self._left = False
        """whether the program has closed it without having read everything"""
        self._reader = PipeReader(os.dup(connected.fileno()))
        self._writer = PipeWriter(os.dup(connected.fileno()), termios.TIOCOUTQ)

    @classmethod
    async def connect(cls, path: str) -> UnixSocket:
        """Raises OSError."""
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        made.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(made, path)
            return cls(made)
        except BaseException:
            made.close()
            raise

    @property
    def tells_unread(self) -> bool:
        return self._left

    @property
    def waiting(self) -> int:
        return self._writer.waiting

    @property
    def taken(self) -> int:
        taken = self._writer.taken
        self._look_for_end()
        if not self._left:
            self._taken = taken
        return self._taken

    def _look_for_end(self) -> None:
        if not self._left and self._socket.fileno() >= 0:
            self._left = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNRESET

    async def read(self) -> bytes:
        """b"" also where the program has closed it without having read everything, which `tells_unread` says."""
        try:
            return await self._reader.read()
        except ConnectionResetError:
            self._left = True
            return b""

    async def write(self, octets: bytes) -> None:
        try:
            await self._writer.write(octets)
        except BrokenPipeError:
            self._look_for_end()
            raise

    def end(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    async def close(self, timeout: float) -> str:
        self._look_for_end()
        self.abort()
        return ""

    def abort(self) -> None:
        self._reader.close()
        self._writer.close()
        self._socket.close()
