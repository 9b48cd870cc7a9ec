"""Let a Python file decide about messages."""

from __future__ import annotations

import os
from typing import Any

from ..pipeline.errors import ConfigError, StageError
from ..pipeline.options import Option, choice
from ..pipeline.passage import DROP, inherit
from ..pipeline.stage import Consuming
from ..runtime.reload import off_reload, on_reload
from ..wire import treatment
from ..wire.block import Block
from ..wire.errors import WireError
from ..wire.item import Item
from ..wire.message import OPEN, UPDATE, Message
from ..wire.tags import TagTable
from ..wire.update import Update
from .base.editing import MAX_BODY, replace_messages
from .base.policy import Answer, Policy, PolicyError, Words, decide, describe, place_of, read_policy


class Py(Consuming):
    """Let a Python file decide about messages.

    FILE has one or more functions: `update(m)` for UPDATEs, `open(m)` for OPENs, `message(m)` for all other messages.
    Each is called with a Message, and returns nothing or True to let it pass, changed or not, False to drop it, or
    what takes its place: a Message, an Update, or a list of these. `start(stage)` and `stop(stage)` are called before
    the first message and after the last. What the file remembers is its own, for each session.

    A SIGHUP loads the file anew; if that fails, the old one stays. More words for it follow FILE with --args.
    """

    argument = "FILE"
    both = True
    own_events = ("error",)

    on_error = Option(
        choice("withdraw", "pass", "drop", "kill"),
        "withdraw",
        "when a function fails: withdraw the routes of the UPDATE (and drop other messages), let the message pass, "
        "drop it, or end the session",
    )

    policy: Policy | None = None
    killed = False

    def attach(self) -> None:
        self.arguments = Words(self.arguments)
        self.path = os.path.abspath(self.arguments[0])
        self.failures: dict[tuple[type, str], int] = {}
        """how often functions failed, by kind of error and place"""
        try:
            self._code = read_policy(self.path)
        except PolicyError as error:
            raise ConfigError(str(error)) from None
        self.watch(self.on_message, on_block=self.on_block)

    def status(self) -> dict[str, Any]:
        return {"file": self.path, "failures": sum(self.failures.values())}

    async def prepare(self) -> None:
        try:
            self.policy = self._load(Policy(self.path, self._code))
        except PolicyError as error:
            self._explain(error)
            raise StageError(f"{self}: {error}") from error
        on_reload(self.reload)

    def _load(self, policy: Policy) -> Policy:
        """Loads the policy and calls its `start`. Raises PolicyError."""
        if start := policy.function("start"):
            try:
                start(self)
            except Exception as error:
                policy.unload()
                raise PolicyError(describe(error, self.path)) from error
        return policy

    def _unload(self, policy: Policy) -> None:
        if stop := policy.function("stop"):
            try:
                stop(self)
            except Exception as error:
                self.pipeline.log.error(describe(error, self.path), stage=str(self))
                self._explain(error)
        policy.unload()

    def reload(self) -> None:
        """Loads the file again, and replaces the policy if that succeeds."""
        old = self.policy
        try:
            self.policy = self._load(Policy(self.path, read_policy(self.path)))
        except PolicyError as error:
            self.pipeline.log.error(f"not loaded, the old one stays: {error}", stage=str(self))
            self._explain(error)
            return
        if old is not None:
            self._unload(old)
        self.failures.clear()
        self.pipeline.log.info(f"loaded {self.arguments[0]} anew", stage=str(self))

    async def stop(self) -> None:
        off_reload(self.reload)
        if self.policy is not None:
            self._unload(self.policy)
        if failed := sum(self.failures.values()):
            self.pipeline.log.warning(f"failed for {failed} messages", stage=str(self), on_error=self.on_error)

    def on_message(self, message: Message) -> Answer:
        assert self.policy is not None
        if self.killed:
            return False
        body = message.body
        try:
            return self.policy.call(message)
        except Exception as error:
            return self._undo(message, body, error)

    def _undo(self, message: Message, body: bytes, error: Exception) -> Answer:
        """Undoes the changes of a function that has failed. Returns what goes on in place of the message."""
        if message.body is not body:
            message.update = Update(body, message.context)
        return self._failed(message, error)

    def on_block(self, block: Block) -> Block | list[Item]:
        """What is left of a block. A message that goes on as one message stays in the block, with its new body and
        tags."""
        bodies: dict[int, bytes | None] = {}
        tags: dict[int, tuple[int, bool]] = {}
        others: dict[int, list[Message]] = {}
        table = TagTable(block.tags)
        assert self.policy is not None
        hooks, other = self.policy.hooks, self.policy.any
        left: Answer
        for position, message in enumerate(block):
            before = message.body
            hook = hooks.get(message.type_code, other)
            left = not self.killed
            try:  # the same as on_message in fewer steps, because most functions change nothing
                if left and hook is not None and (answer := hook(message)) is not None and answer is not True:
                    left = decide(answer, hook, message)
            except Exception as error:
                left = self._undo(message, before, error)
            if left is False or message.action & DROP:
                bodies[position] = None
                continue
            if left is not True or message.action or len(message.body) > MAX_BODY:
                others[position] = [inherit(each, message) for each in left] if isinstance(left, list) else [message]
                continue
            asked = message.asked_tags
            if asked is not None:
                entry = table.enter(asked, message.header)
                if entry is None:
                    others[position] = [message]
                    continue
                tags[position] = entry
            if message.body is not before:
                bodies[position] = message.body
        return replace_messages(block.tagged(tags, table) if tags else block, bodies, others)

    # errors

    def _failed(self, message: Message, error: Exception) -> Answer:
        place = place_of(error, self.path)
        kind = type(error), place
        if kind not in self.failures:
            self.pipeline.log.error(describe(error, self.path), stage=str(self), on_error=self.on_error)
            self._explain(error)
        self.failures[kind] = self.failures.get(kind, 0) + 1
        self.event("error", message, place, error=error)
        if self.on_error == "pass":
            return True
        # if an OPEN were dropped, both peers would wait for it until their timers expire
        if self.on_error == "kill" or (message.type_code == OPEN and self._in_session()):
            self.killed = True
            self.pipeline.fail(StageError(f"{self}: {describe(error, self.path)}"))
        elif self.on_error == "withdraw" and message.type_code == UPDATE:
            return _withdrawn(message)
        return False

    def _in_session(self) -> bool:
        return any(inlet.session for stage in self.pipeline.stages for inlet in stage.inputs)

    def _explain(self, error: BaseException) -> None:
        self.pipeline.log.debug("traceback", stage=str(self), exc_info=error.__cause__ or error)


def _withdrawn(message: Message) -> Answer:
    """The withdrawal of the routes of an UPDATE for which the policy failed, as for a malformed one (RFC 7606 section
    2)."""
    try:
        bodies = treatment.withdraw(message.update)
    except WireError:
        return False
    return [Message(UPDATE, body, context=message.context, tags=dict(message.tags)) for body in bodies]
