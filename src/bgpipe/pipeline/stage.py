"""The base classes of stages. A stage is one class in one module whose name is the command:

    class Head(Stage):
        '''Pass the first messages, then stop the pipeline.'''

        count = Option(INTEGER, 10, "pass N messages", short="n", metavar="N")

        def attach(self):
            self.left_over = self.count
            self.watch(self.on_message)

The life of a stage: `attach` (checks the options, registers callbacks and inputs; opens nothing), `prepare` (opens
files, connects), `run` (makes messages; a stage that only reacts to messages needs none), `stop` (finishes and closes).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, Self, TypeVar

from .callback import Callback, OnBlock, OnMessage
from .errors import ConfigError, Stopped, failure
from .events import STAGE_EVENTS, expand_all
from .input import Input
from .options import TEXT, TEXTS, Option
from .stage_base import StageBase

if TYPE_CHECKING:
    from ..filters import Filter
    from ..wire.item import Item
    from ..wire.message import Message
    from ..wire.notification import Notification
    from .events import Event
    from .metrics import Metrics
    from .pipeline_base import PipelineBase
    from .scope import ScheduledCall

AnyInput = TypeVar("AnyInput", bound=Input)

API: Final = 1
"""Version of what stages of other packages are written against (`bgpipe.stage`). It grows when that changes."""


class ListenSpec(NamedTuple):
    """How a stage accepts many peers, each with a pipeline of its own.

    most: how many may have sessions at the same time, 0 for any number. again: one after the other. damp: whether a
    peer whose sessions fail must stay away for a while. open: gives the acceptor (net.acceptor), which listens;
    raises OSError, ValueError. exchanges: whether a peer at this address belongs to the other end, so that the two ends
    of its pipeline must change places.
    """

    most: int
    again: bool
    damp: bool
    open: Callable[[], Coroutine[Any, Any, Any]]
    exchanges: Callable[[str], bool]


class Progress(NamedTuple):
    """How much a stage has read of its stream.

    skipped: records that hold no message, kinds: the same by kind. damages: pieces that can't be read.
    position, total: octets; the total is None where nobody knows it.
    """

    records: int
    messages: int
    states: int
    skipped: int
    damages: int
    kinds: Mapping[str, int] = MappingProxyType({})
    position: int = 0
    total: int | None = None


class Stage(StageBase):
    """A stage, with the options that all stages have.

    The class says: argument: the name of the one argument that it needs, "" for none. both: whether it can work in
    both directions at once. produces: whether it makes messages. uses: "stdin" or "stdout" if it uses that. api: the
    version of `bgpipe.stage` that it is written against, if it is of another package.

    The pipeline sets: name, index: as the command line says them; directions: "R", "L" or "RL", those of its inputs,
    and of its callbacks unless `attach` makes `watched` others; running: whether its callbacks are called.
    """

    api: ClassVar[int] = API
    argument: ClassVar[str] = ""
    both: ClassVar[bool] = False
    uses: ClassVar[str] = ""
    uses_rpki: ClassVar[bool] = False
    """whether it judges by `pipeline.shared.rpki`, which is kept up to date only if a stage does"""
    side: str = ""
    """ "L" or "R" if it holds the connection to the peer at that side of the pipeline"""
    takes: bool = False
    """whether the stage is a destination of messages: it writes them, or sends them to a peer or a program"""
    wants_states: bool = False
    """whether an input gives state changes (wire.state.StateChange) too because this stage writes them"""
    wants_entries: bool = False
    """whether an input gives each entry of a RIB as an UPDATE of its own because this stage writes them so"""
    tables: list[list[bytes]] | None = None
    """where each input puts a list with the records of tables of routes that it reads, if this stage writes such"""
    own_events: tuple[str, ...] = ()
    """its own events, besides those that every stage has"""

    def __init__(self, name: str = "", arguments: Sequence[str] = ()) -> None:
        super().__init__(name, arguments)
        self.words: list[str] = []
        """its words on the command line, options and arguments, for explain"""
        self.handled_events: list[str] = []
        """what --wait and --stop name"""
        self.trouble = ""
        """what is wrong with the stage at the moment, as text for people"""
        self.pipeline: PipelineBase[Stage]
        self.callbacks: list[Callback] = []
        self.inputs: list[Input] = []

    def duplicate(self) -> Self:
        """A new stage with the same class, number, name, options and arguments, for another pipeline."""
        copied = type(self)(self.name, self.arguments)
        copied.values, copied.explicit = dict(self.values), set(self.explicit)
        copied.words, copied.command, copied.index = self.words, self.command, self.index
        return copied

    @property
    def originates_session(self) -> bool:
        """Whether the stage is an end of the session: it makes the OPENs, KEEPALIVEs and NOTIFICATIONs."""
        return False

    @property
    def accepts_many(self) -> bool:
        """Whether more sessions run from the same command line, after this one or at the same time."""
        return False

    @property
    def reconnects(self) -> bool:
        """Whether a new session, with a new pipeline, follows a session that is lost."""
        return False

    @property
    def awaits_rpki(self) -> bool:
        """Whether nothing may pass before there are VRPs or ASPAs."""
        return False

    @property
    def speaks_first(self) -> bool:
        """Whether the stage sends its OPEN without waiting for that of the peer."""
        return False

    @property
    def connected(self) -> bool:
        """Whether the connection to its peer is open."""
        return False

    def listens(self) -> ListenSpec | None:
        """How the stage accepts many peers; None if it does not."""
        return None

    @property
    def left_router(self) -> str:
        """The address of the router that belongs to the left end even if the other one calls; "" if none is named."""
        return ""

    def adopt(self, accepted: Any) -> None:
        """Gives the stage a connection of its acceptor, before the pipeline runs."""
        raise NotImplementedError

    def treat(self, items: Iterable[Item], source: Stage, inlet: Input) -> Iterable[Item]:
        """Checks what `source` has read for the peer of this stage. Returns what may enter at `inlet`."""
        return items

    @property
    def needs_argument(self) -> bool:
        """Whether its argument must be given, as its options say."""
        return bool(self.argument)

    # what a stage does

    def attach(self) -> None:
        """Checks the options, and registers callbacks and inputs. Raises ConfigError."""

    async def prepare(self) -> None:
        """Opens what the stage needs. Raises StageError."""

    async def run(self) -> None:
        """Feeds the inputs. They are closed when it returns. Raises StageError."""

    def drain(self) -> None:
        """Tells a transformer that no more messages will come. It makes its last messages, and `run` returns."""

    def drains_first(self) -> bool:
        """Whether a transformer must be drained before --stop ends it."""
        return False

    def abort(self) -> int:
        """Called when the time for messages on their way is over. Returns how many messages a transformer, or an end
        of a session, loses, besides those that its inputs count."""
        return 0

    def input_ended(self) -> None:
        """Called when the input of the pipeline has ended. Only messages on their way may still reach the stage."""

    def end_session(self) -> None:
        """Called when the pipeline has failed. A stage that has a peer sends it a NOTIFICATION at once."""

    def before_stop(self) -> None:
        """Called before the pipeline or this stage ends. It may put its last messages into its inputs."""

    async def stop(self) -> None:
        """Finishes and closes. Raises StageError."""

    async def conclude(self) -> None:
        """Called when all stages of the pipeline have stopped. It is then known whether anything has failed."""

    def flush(self) -> None:
        """Called after each piece of input. The stage should pass on what it has collected."""

    # what it shows to an operator

    def progress(self) -> Progress | None:
        """How much the stage has read; None if it reads no stream."""
        return None

    def status(self) -> dict[str, Any]:
        """The state of the stage for /stage/NAME, in values of JSON. `metrics` is an object of counters by name,
        without the stage's name and `_total`, which are added for /metrics."""
        return {}

    def shown_words(self) -> list[str]:
        """The words of the stage on the command line, with secrets replaced."""
        secrets: set[str] = set()
        for option in self.declared().values():
            if option.secret:
                value = self.values.get(option.name, ())
                secrets.update((value,) if isinstance(value, str) else value)
        return [hide(word, secrets - {""}) for word in self.words]

    def measure(self, metrics: Metrics) -> None:
        """Adds the metrics whose names this stage shares with others."""

    # what it says to the pipeline

    def on_failure(self, error: Exception) -> None:
        """Called when a task, timer or callback of this stage has failed. The pipeline ends with an error that names
        the stage."""
        if isinstance(error, Stopped):
            return
        self.pipeline.log.debug("unexpected error", stage=str(self), exc_info=error)
        self.pipeline.fail(failure(self, error))

    def call_later(self, seconds: float, function: Callable[[], object]) -> ScheduledCall:
        """Calls the function after so many seconds, unless the session has ended. An exception in it is an error of
        this stage."""
        return self.pipeline.tasks.call_later(str(self), seconds, function, self.on_failure)

    def call_soon(self, function: Callable[[], object]) -> ScheduledCall:
        """Calls the function in the next turn of the event loop; otherwise as `call_later`."""
        return self.pipeline.tasks.call_soon(str(self), function, self.on_failure)

    def spawn(self, what: str, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Starts an asyncio.Task that ends with the session. An exception in it is an error of this stage."""
        return self.pipeline.tasks.spawn(f"{self} {what}", coroutine, self.on_failure)

    @cached_property
    def tasks(self) -> Any:
        """A scope (bgpipe.tasks.Tasks) that ends with the session. Errors in it are errors of this stage."""
        return self.pipeline.tasks.child(self.on_failure)

    def shut(self) -> None:
        """From now on, all messages that reach the stage are dropped. (Messages that reach a stopped stage pass by.)"""
        self.is_shut = True
        for callback in self.callbacks:
            callback.shut()

    def watch(
        self,
        on_message: OnMessage,
        *,
        on_block: OnBlock | None = None,
        types: Collection[int] | None = None,
        passive: bool = False,
        decodes: bool = True,
        selects: bool = False,
    ) -> None:
        """Registers a callback for each message in the stage's directions.

        on_message: returns False to drop the message, a list of messages to put in its place, or anything else to let
        it pass. on_block: the same for a whole block; it returns what is left of the block (None for nothing), or a
        list of messages and blocks. Without it, blocks are opened and their messages come one by one. types: the
        message types to call it for, None for all. passive: the callback changes nothing and drops nothing. decodes:
        it decodes what is in a message, so a malformed UPDATE is handled before it comes here (RFC 7606, --malformed).
        selects: on_block gets whole blocks even if only some of their messages are of `types` and match --if, and it
        lets the others pass itself.
        """
        self.callbacks.append(Callback(self, on_message, on_block, types, passive, decodes, selects))

    def feed_into(self, *, session: bool = False) -> Input:
        """Makes an input into the lines of the stage's directions. session: its messages belong to one BGP session."""
        return self.add_input(Input(self, session))

    def add_input(self, new_input: AnyInput) -> AnyInput:
        """Makes an input one of this stage."""
        self.inputs.append(new_input)
        self.drop_reason = "taken"
        return new_input

    def notify(self, notification: Notification) -> None:
        """Sends a NOTIFICATION to the peer of this stage, if it has one, without passing the lines."""

    def event(
        self,
        what: str,
        message: Message | None = None,
        *values: Any,
        error: Exception | None = None,
        notification: Notification | None = None,
    ) -> None:
        """Emits the event `<name>/<what>`. notification: sent to the peer that has sent the message, if the event ends
        the session."""
        self.pipeline.emit(
            f"{self.name}/{what}",
            message=message,
            values=values,
            error=error,
            stage=str(self),
            notification=notification,
        )

    def on_events(self, names: Iterable[str], handler: Callable[[Event], object]) -> None:
        """Calls `handler` with each event of these names, which are said as for --wait. To be called in `attach`. What
        the handler raises is this stage's error; it returns False to hear no more."""
        found = expand_all(names, STAGE_EVENTS)
        self.pipeline.want(found)
        self.pipeline.bus.on(found, handler, self)


class Consuming(Stage):
    """A stage that works on messages; it has the option --if."""

    if_ = Option(TEXTS, (), "work only on messages that match; may be repeated", short="I", metavar="FILTER")

    def conditions(self) -> list[Filter]:
        return compile_filters(self.if_)


class Producing(Stage):
    """A stage that makes messages; it has the options --of and --new."""

    produces = True

    new = Option(
        TEXT,
        "next",
        "where new messages enter: next, here, first, last, a stage's number or @name",
        short="N",
        metavar="TARGET",
        old=("inject",),
    )
    of = Option(TEXTS, (), "drop messages of this stage that don't match; may be repeated", short="O", metavar="FILTER")

    def output_conditions(self) -> list[Filter]:
        return compile_filters(self.of)

    def target(self) -> str:
        return self.new


def compile_filters(texts: Sequence[str]) -> list[Filter]:
    """Compiles several filters. Raises ConfigError."""
    if not texts:
        return []
    from ..filters import FilterError, compile_filter

    try:
        return [compile_filter(text) for text in texts]
    except FilterError as error:
        raise ConfigError(str(error)) from None


SECRET_PARAMETER: Final = r"(?i)([?&][^=&#]*(?:token|secret|passw|key|auth|sig)[^=&#]*=)[^&#]+"
"""A parameter in the query of a URL that gives access, such as ?token=."""


def hide(word: str, secrets: Collection[str]) -> str:
    """A word of the command line with `***` in place of a secret, and of user, password and tokens in a URL."""
    for secret in secrets:
        if word == secret or word.endswith(f"={secret}"):
            return word.removesuffix(secret) + "***"
    if "://" in word:
        word = re.sub(SECRET_PARAMETER, r"\1***", word)
    scheme, found, rest = word.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://***@{host.rpartition('@')[2]}{slash}{path}" if found and "@" in host else word
