"""Stages whose messages go to another program (the partner) in a format. The messages that the partner sends back go
on instead.

The messages that wait for the partner are bounded in octets: above that, the senders have to wait. In a live session
they are bounded in time too, and KEEPALIVEs that the partner holds back are replaced: see StallWatchdog.
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar, Final

from ...net.backoff import STABLE_AFTER
from ...net.errors import explain_error
from ...net.pipes import Link
from ...net.send_queue import SendQueue
from ...pipeline import events
from ...pipeline.callback import type_filter
from ...pipeline.errors import ConfigError, StageError, failure
from ...pipeline.lifecycle import StageKind
from ...pipeline.stage import compile_filters
from ...wire.context import WireContext
from ...wire.item import Item, count
from ...wire.message import KEEPALIVE, NOTIFICATION, OPEN, Message
from .bypass import Bypass
from .coding import find_format, plural
from .link_attempts import LinkAttempts
from .pace import Pace
from .partner_input import PartnerInput
from .partner_output import PartnerOutput
from .session_end import check_session_end, has_live_peer, session_lost
from .types import chosen_types
from .watchdog import StallWatchdog

CLOSE_TIMEOUT: Final = 1.0
"""Seconds that a partner gets to end."""
SESSION: Final = (OPEN, NOTIFICATION, KEEPALIVE)
"""Message types that keep a session alive: they are never dropped."""


class ExternalFilter(LinkAttempts, PartnerInput, PartnerOutput):
    """What exec, pipe and websocket have in common.

    A message that reaches the stage leaves the line and is sent to the partner. Messages from the partner enter the
    line behind the stage. With --copy the message itself goes on too. With --write nothing is read from the partner,
    and with --read nothing is sent to it.
    """

    both = True
    framed: ClassVar[bool] = False
    """whether the partner is given messages one by one"""

    gone = "the partner is gone"
    """what to say of a partner that has ended without saying why"""
    _task: asyncio.Task[None] | None = None
    _lost = 0

    @property
    def produces(self) -> bool:  # type: ignore[override]
        return not self.only_write

    @property
    def takes(self) -> bool:  # type: ignore[override]
        return self.only_write or self.copy

    must_end_well: ClassVar[bool] = False
    """whether a failure of the partner that has been given everything counts, whatever --on-exit says"""
    tunnel = False
    """whether it stands for the router at an end of a live session. What is lost here is not sent again"""
    end_reason = ""
    """why the other side of a tunnel has ended the session"""

    @property
    def kind(self) -> StageKind:
        if self.only_read or self.tunnel:
            return StageKind.SOURCE
        return StageKind.PASSIVE if self.only_write else StageKind.TRANSFORMER

    # what the kinds of partner differ in

    @property
    def waits(self) -> bool:
        """Whether messages may wait for a partner that is not there yet."""
        return self.on_exit == "restart"

    @property
    def half_closed(self) -> bool:
        """Whether the partner may stop reading without an error."""
        return False

    def tell_loss(self, failed: str) -> None:
        """Called when the link is lost and the pipeline goes on."""
        self.pipeline.log.warning(failed, stage=str(self), on_exit=self.on_exit)

    def on_link_end(self, link: Link, failed: str) -> None:
        """Called when the partner has gone."""

    def status(self) -> dict[str, Any]:
        """missed: messages that the partner should have had, since it was there last."""
        return {
            "connected": self.link is not None,
            "queue_bytes": self._queue.size if self._task is not None else 0,
            "missed": self._lost,
        }

    # life

    def attach(self) -> None:
        if self.only_read and self.only_write:
            raise ConfigError("--read and --write exclude each other")
        if self.stall_timeout < 0:
            raise ConfigError("--stall-timeout can't be negative")
        self.bypass: Bypass | None = None
        one_way = self.copy or self.only_write or self.only_read
        both_ways = self.inward != "" and self.directions in (self.inward, "RL")
        self.tunnel = both_ways and not one_way and has_live_peer(self)
        if self.tunnel:
            self.directions = self.inward
            check_session_end(self.on_exit)
        self.format_ = find_format(self.format)
        if self.format_.collect is not None:
            raise ConfigError(f"{self.format_.name} is a format for files")
        self.passive = self.copy or self.only_write
        """whether the messages themselves go on"""
        self.taken_types = chosen_types(self.type, self.skip)
        self.choose_types(self.taken_types if self.only_read else None)
        self.filters = compile_filters(self.if_)
        """what picks the messages of a block"""
        if self.taken_types is not None:
            self.filters.append(type_filter(self.taken_types))
        if not self.only_write:
            self.inlet = self.feed_into()
        if not self.only_read:
            self._attach_writing()
        elif self.copy:
            raise ConfigError("--read and --copy exclude each other: nothing goes out")

    def _attach_writing(self) -> None:
        self.check_encoder(self.format_)
        if not self.only_write:
            if not self.format_.says_direction and len(self.directions) > 1:
                raise ConfigError(
                    f"the format {self.format_.name} says no directions: choose one of --left and --right"
                )
            self.watched = self._watched()
        self.encoder = self.make_encoder(self.format_, self.on_report)
        single = self.framed and not self.format_.text
        self.together = 1 if single else None
        """messages that are given together at most"""
        self.watch(
            self.on_message,
            on_block=None if single else self.on_block,
            types=self.taken_types,
            passive=self.passive,
            decodes=self.format_.text,
            selects=True,
        )
        if not self.passive and not self.tunnel:
            self.bypass = Bypass(self)

    @property
    def inward(self) -> str:
        """The direction away from the end where this stage stands, "" if it stands at none."""
        row = [stage for stage in self.pipeline.stages if not stage.hidden]
        return "L" if self.is_last else "R" if self is row[0] else ""

    def _watched(self) -> str:
        """The directions to watch. The first and the last stage are an end: they take what arrives there, and make what
        starts."""
        end = self.inward
        if self.directions != end:
            return self.directions
        fed = any(stage.hidden and stage.produces for stage in self.pipeline.stages)
        return "RL" if fed else "R" if end == "L" else "L"

    async def prepare(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue = SendQueue()
        self.pace = Pace()
        self._holding = False
        self._taking = True
        """whether messages are put into the send queue"""
        self._draining = False
        self._stalled = ""
        """why the link was given up, "" if it wasn't"""
        self._wake = asyncio.Event()
        """set when something is in the send queue, or nothing more will be"""
        self._over = asyncio.Event()
        self._lost = 0
        """messages that the partner should have had, since it was there last"""
        self._gave_up = False
        """whether messages have passed by the partner, and it has sent nothing since"""
        self._opens: dict[str, Message] = {}
        """OPENs that the partner has got and not sent back, by direction: without an OPEN there is no session"""
        self._contexts: dict[str, WireContext] = {}
        """the context of the last message of each direction"""
        live = any(i.session for stage in self.pipeline.stages if stage is not self for i in stage.inputs)
        self.watchdog = StallWatchdog(self, self.stall_timeout) if live and not self.only_read else None
        for inlet in self.inputs if live and not self.passive and not self.only_read else ():
            inlet.session = inlet.tracked = True  # what leaves here is the session that the ends have begun
        try:
            self.link = await self.begin()
        except OSError as error:
            if not self.retries:
                raise StageError(f"{self}: {explain_error(error)}") from error
            self._tell_attempt(error, 1)
        if self.link is None:
            self._wait_for_link()
        self._task = self.pipeline.tasks.begin(str(self), self._keep())
        self._task.add_done_callback(self._on_done)

    async def begin(self) -> Link | None:
        """The first link; None if it will come by itself. Raises OSError."""
        return await self.connect()

    async def run(self) -> None:
        await self._over.wait()

    def drain(self) -> None:
        """From now on, messages pass by, after the last message of the partner."""
        self._draining = True
        if self.bypass is not None:
            self.bypass.block()
        self._wake.set()

    def drains_first(self) -> bool:
        return self._task is not None and not self._task.done() and not self.passive

    def abort(self) -> int:
        if self._task is not None:
            self._task.cancel()
        lost = self._queue.messages
        self._queue.clear()
        return lost

    async def stop(self) -> None:
        await self._stop_task()
        self.judge_refused(self.format_)

    async def _stop_task(self) -> None:
        task = self._task
        if task is None:
            return
        try:
            if (self.passive or self.tunnel) and not task.done() and (self.link is not None or self._queue):
                self.drain()
                await asyncio.wait((task,), timeout=CLOSE_TIMEOUT if self.pipeline.failed else None)
            task.cancel()
            await asyncio.wait((task,))
            if self.link is not None:
                await self.link.close(CLOSE_TIMEOUT)
            self._tell_missed()
        finally:
            task.cancel()
            if self.link is not None:
                self.link.abort()
            if self.watchdog is not None:
                self.watchdog.close()
            self._release()

    def _on_done(self, task: asyncio.Task[None]) -> None:
        """Called when nothing more comes from the partner."""
        self._taking = False
        if not task.cancelled() and (error := task.exception()) is not None:
            self.pipeline.fail(failure(self, error) if isinstance(error, Exception) else StageError(str(error)))
        if self.bypass is not None:
            self.bypass.unblock()
        self._release()
        self._over.set()

    # with the partner, and without

    async def _keep(self) -> None:
        """Keeps a link to a partner as long as there can be one. Raises StageError."""
        attempt = 1 if self.link is None else 0
        while True:
            if self.link is None and not await self._connect(attempt):
                return
            assert self.link is not None
            began = self._loop.time()
            self._on_link()
            failed = await self._serve(self.link)
            through = self._draining and not self._queue  # the partner has got all messages
            self._queue.confirm(self.link.taken)
            self._queue.begin()
            tells_unread, self.link = self.link.tells_unread, None
            if through or (self.only_read and not failed and not self.retries):
                left = self._leave_unread(failed) if tells_unread else 0
                # one that has not read all has died on the way, like one that dies before all was handed over
                if failed and (self.on_exit == "kill" or self.tunnel or (self.must_end_well and not left)):
                    raise StageError(f"{self}: {failed}")
                if failed:
                    self.tell_loss(failed)
                self.judge_damage()
                return
            failed_by_stall = bool(self._stalled)
            failed = self._stalled or failed or self.end_reason or self.gone
            self._stalled = ""
            if self.tunnel and self.begun:
                raise session_lost(self, failed)
            if self.on_exit == "kill":
                unread = f" without reading {plural(self._queue.messages, 'message')}" if self._queue.messages else ""
                raise StageError(f"{self}: {failed}{unread}")
            self.tell_loss(failed)
            if self._gave_up or failed_by_stall:
                self._give_up()  # a partner that does nothing must not delay the senders again
            self._wait_for_link()
            attempt = 1 if self._loop.time() - began >= STABLE_AFTER else attempt + 1

    def _leave_unread(self, failed: str) -> int:
        """Called when the partner has ended. Messages that it has not read go on or are lost, by --on-exit. Returns how
        many there are. failed: how it has ended, "" if all is well. Raises StageError."""
        unread, gone = self._queue.messages, failed or self.gone
        if not unread:
            return 0
        items = self._queue.clear()
        passing = [item for item in items if self._survives(item)] if self.bypass is not None else []
        if self.bypass is not None:
            self.bypass.take(passing)
        lost = unread - count(passing)
        if lost and self.on_exit == "kill" and not self.half_closed:
            raise StageError(f"{self}: {gone} without reading {plural(lost, 'message')}")
        what = "some messages are lost" if lost else "messages pass by"
        self.pipeline.log.warning(f"{gone} without reading all: {what}", stage=str(self), unread=unread, lost=lost)
        return unread

    async def _serve(self, link: Link) -> str:
        """Reads and writes until either is over. Returns how the link has failed, "" if it has not."""
        begin = self.pipeline.tasks.begin
        reader = begin(f"{self} reads", self._read(link))
        writer = begin(f"{self} writes", self._write(link)) if not self.only_read else None
        tasks = {reader} if writer is None else {reader, writer}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if not reader.done() and writer is not None and writer.exception() is not None:
                if self.half_closed:
                    self._give_up()
                await asyncio.wait({reader}, timeout=None if self.half_closed else CLOSE_TIMEOUT)  # its last words
            elif not reader.done():
                await asyncio.wait({reader})
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        failed = await link.close(CLOSE_TIMEOUT)
        self.on_link_end(link, failed)
        for task in tasks:
            error = None if task.cancelled() else task.exception()
            if error is not None and not isinstance(error, OSError):
                raise error
            if error is not None and not isinstance(error, BrokenPipeError):
                failed = failed or explain_error(error)
        return failed

    def _on_link(self) -> None:
        """Called when there is a link to a partner."""
        self._tell_missed()
        for message in self._opens.values():
            if not self._queue.holds(message):
                self._queue.put_first(self.encoder.encode_message(message), message)
        if self.watchdog is not None:
            self.watchdog.on_change()
            if not self._taking or not self._queue:
                self.watchdog.restart()
        self._taking = True

    def _tell_missed(self) -> None:
        if self._lost:
            self.pipeline.log.warning("the partner has missed messages", stage=str(self), missed=self._lost)
        self._lost = 0

    def _go_without(self, item: Item) -> bool:
        """Whether messages for the partner go on at once."""
        if not self._draining:
            self._lost += 1 if isinstance(item, Message) else len(item)
        if self.bypass is None:
            return True
        if not self._passes(item):
            return False
        if self.bypass.busy:
            self.bypass.take((item,))
            return False
        return True

    def _passes(self, item: Item) -> bool:
        """Whether --on-exit lets the message pass."""
        return self._draining or self._survives(item)

    def _survives(self, item: Item) -> bool:
        """Whether --on-exit lets it go on when the partner is gone."""
        session = isinstance(item, Message) and item.type_code in SESSION
        return self.on_exit in ("pass", "restart") or session

    def _wait_for_link(self) -> None:
        """Called while there is no partner."""
        if self.watchdog is not None:
            self.watchdog.on_change()
        if not self.only_read and not (self.waits and self.retries):
            self._give_up()

    def _give_up(self) -> None:
        """Lets waiting messages pass, until there is another partner."""
        self._taking = False
        self._gave_up = True
        opens = [message for message in self._opens.values() if not self._queue.holds(message)]
        self._lost += len(opens) + self._queue.messages
        items = [*opens, *self._queue.clear()]
        self._opens.clear()
        if self.bypass is not None:
            self.bypass.take(item for item in items if self._survives(item))
        self._wake.set()
        self._release()

    # what the watchdog asks, and says

    @property
    def waiting(self) -> int:
        return self.taken + 1 if self._queue.size else 0

    @property
    def taken(self) -> int:
        if self.link is not None:
            self._queue.confirm(self.link.taken)
        return self._queue.taken

    @property
    def held(self) -> bool:
        return not self.only_write and self.inlet.held

    @property
    def holding(self) -> bool:
        return self._holding

    def on_stall(self) -> None:
        if self.link is None and self.tunnel:
            self.pipeline.fail(session_lost(self, f"nobody has been at the other end for {self.stall_timeout:g} s"))
            return
        if self.link is None:
            self._give_up()
            return
        self._stalled = f"stalled: no progress for {self.stall_timeout:g} s"
        self.pipeline.emit(events.SLOW, stage=str(self))
        self.link.abort()

    def on_silence(self, direction: str) -> None:
        if self.bypass is not None:
            self.bypass.say(Message(KEEPALIVE, direction=direction))
        else:
            self._taking = False  # copies are dropped until there is room
            self._release()
