"""Let a program at the other end of a WebSocket filter the messages, or be one end of a tunnel."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator
from ssl import SSLContext
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from ..net.errors import explain_error
from ..net.pipes import Link
from ..net.refusals import RefusalLog
from ..net.secret import read_secret
from ..net.tls import client_context, server_context
from ..net.tunnel import TunnelLink
from ..net.tunnel_client import TunnelClient
from ..net.tunnel_server import TunnelServer
from ..net.websocket import WebSocketClient, place
from ..net.websocket_server import SharedServer, WebSocketServer
from ..pipeline import events
from ..pipeline.errors import ConfigError, StageError
from ..pipeline.options import DURATION, FLAG, INTEGER, TEXT, TEXTS, Option
from ..wire.item import Item
from ..wire.message import Message
from .base.external import CLOSE_TIMEOUT, ExternalFilter
from .base.peer import PeerStage

SCHEMES: Final = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}
REMOTE: Final = "websocket/remote"
"""The tag that says who has sent a message."""


class Websocket(ExternalFilter):
    """Let a program at the other end of a WebSocket filter the messages, or be one end of a tunnel.

    Each message is one frame: binary ones go out, binary and text come in. With --listen we are the server at URL, for
    any number of clients: each is sent all messages, and what any of them sends is taken.
    """

    argument = "URL"
    framed = True
    gone = "the connection is closed"

    listen = Option(FLAG, False, "be the server; a URL without a host means all local addresses")
    auth = Option(
        TEXT,
        "",
        "user:password that the server demands and the client sends: a variable, or the first line of FILE",
        metavar="$ENV|FILE",
    )
    open_ = Option(FLAG, False, "with --listen, accept clients without a password", name="open")
    cert = Option(TEXT, "", "our certificate, as a PEM file", metavar="FILE")
    key = Option(TEXT, "", "the key of our certificate, as a PEM file", metavar="FILE")
    ca = Option(TEXT, "", "accept only certificates of these authorities: a PEM file", metavar="FILE")
    insecure = Option(FLAG, False, "accept any certificate of the server")
    header = Option(TEXTS, (), "send this header with the request; may be repeated", metavar="NAME:VALUE", secret=True)
    timeout = Option(DURATION, 10.0, "wait this long for a connection to open")
    retry = Option(FLAG, False, "try again when the server can't be reached, and after a connection is lost")
    retry_max = Option(INTEGER, 0, "with --retry, give up after N failed attempts; 0 never gives up", metavar="N")

    own_events = ("OPEN",)
    server: WebSocketServer | TunnelServer | None = None
    _refusals: RefusalLog
    _tunnel_link: Link | None = None

    def attach(self) -> None:
        parts = urlsplit(self.arguments[0])
        if parts.scheme.lower() not in SCHEMES:
            what = place(self.arguments[0]).removeprefix("://")
            raise ConfigError(f"not a URL of a WebSocket: {what!r}; ws:// or wss:// is expected")
        self.url = urlunsplit(parts._replace(scheme=SCHEMES[parts.scheme.lower()]))
        self.secure = self.url.startswith("wss:")
        try:
            if parts.port == 0:
                raise ValueError
        except ValueError:
            raise ConfigError(f"not a port in {place(self.url)!r}; 1 to 65535 is expected") from None
        if not self.listen and not parts.hostname:
            raise ConfigError(f"no host in {place(self.url)!r}")
        if self.listen and parts.username is not None:
            raise ConfigError("a server takes no user and password from its URL: use --auth")
        if self.timeout < 0 or self.retry_max < 0:
            raise ConfigError("--timeout and --retry-max can't be negative")
        if self.listen and (self.retry or self.header or self.insecure):
            raise ConfigError(
                "--retry, --header and --insecure are options of a client: they can't be used with --listen"
            )
        if self.listen and self.secure and not self.cert:
            raise ConfigError("a server at wss:// needs --cert, and --key if the key is in another file")
        if not self.secure and (self.cert or self.key or self.ca or self.insecure):
            raise ConfigError("--cert, --key, --ca and --insecure need wss://")
        self.headers = [(name.strip(), value.strip()) for name, _, value in (h.partition(":") for h in self.header)]
        if not all(name and value for name, value in self.headers):
            raise ConfigError("--header: NAME:VALUE is expected")
        if self.listen and not self.only_write and any(getattr(s, "many", -1) != -1 for s in self.pipeline.stages):
            raise ConfigError(
                "with listen --many, --listen needs --write: a client can't say which session its messages are for"
            )
        self._check_access()
        if "on-exit" not in self.values and (self.listen or self.retry):
            self.on_exit = "restart"
        super().attach()
        if self.tunnel and self.listen:
            self._let_wait()

    def _let_wait(self) -> None:
        """Makes `connect` wait until the router at the other side of the tunnel is there. Raises ConfigError."""
        for stage in self.pipeline.stages:
            if isinstance(stage, PeerStage) and not stage.server and not stage.wait_for:
                if stage.index < self.index:
                    raise ConfigError(f"{stage.name} needs --wait {self.name}/OPEN, to call when a router is there")
                stage.wait_for = (f"{self.name}/OPEN",)

    def _check_access(self) -> None:
        """Checks that a server has an option for access, because what a client sends goes into the session. Raises
        ConfigError."""
        if self.open_ and not self.listen:
            raise ConfigError("--open needs --listen")
        if self.open_ and self.auth:
            raise ConfigError("--auth and --open exclude each other")
        if self.listen and not self.only_write and not (self.auth or self.ca or self.open_):
            raise ConfigError(
                "--listen accepts clients that can send routes: give --auth $NAME or FILE (user:password), --ca FILE"
                " (certificates of clients), or --open to let in everybody"
            )

    @property
    def accepts_many(self) -> bool:
        return self.tunnel and self.listen

    @property
    def reconnects(self) -> bool:
        return self.tunnel and self.listen

    @property
    def retries(self) -> bool:
        return self.listen or self.retry or self.on_exit == "restart"

    @property
    def waits(self) -> bool:
        # a client that only reads starts with the next message; one whose answers are needed is waited for
        return self.on_exit == "restart" and not (self.listen and self.passive)

    @property
    def most_attempts(self) -> int:
        return self.retry_max

    def delay(self, attempt: int) -> float:
        return 0.0 if self.listen else super().delay(attempt)

    async def begin(self) -> Link | None:
        try:
            self.tls = self._tls() if self.secure else None
            credentials = read_credentials(self.auth) if self.auth else None
        except (OSError, ValueError) as error:
            raise StageError(f"{self}: {explain_error(error)}") from error
        if not self.listen:
            if credentials is not None:
                told = b64encode(":".join(credentials).encode()).decode()
                self.headers.append(("Authorization", f"Basic {told}"))
            self._caller = TunnelClient(
                self.url,
                tls=self.tls,
                headers=self.headers,
                timeout=self.timeout,
                retries=self.retry,
                patience=self.stall_timeout,
                lines=self.format_.text,
                tasks=self.tasks,
            )
            return await self.connect()
        self.server = server = self.pipeline.shared.take(
            self._key, self._make_server, lambda server: server.stop(CLOSE_TIMEOUT)
        )
        self._refusals = RefusalLog(self.pipeline.log, self.pipeline.clock)
        server.on_client, server.on_refused = self._on_client, self._on_refused
        try:
            await server.start(self.url, tls=self.tls, credentials=credentials, timeout=self.timeout)
        except OSError as error:
            raise StageError(f"{self}: {place(self.url)}: {explain_error(error)}") from error
        for address in server.addresses:
            self.pipeline.log.info(f"listening on {address}", stage=str(self))
        return None

    @property
    def _key(self) -> tuple[str, str]:
        """The key under which all sessions of a command line share one server."""
        return "websocket", str(self)

    def _make_server(self) -> WebSocketServer | TunnelServer:
        if self.tunnel:
            return TunnelServer(lines=self.format_.text)
        return WebSocketServer(lines=self.format_.text, answers=not self.passive, on_slow=self._on_slow)

    def _tls(self) -> SSLContext:
        if self.listen:
            return server_context(cert=self.cert, key=self.key, ca=self.ca)
        return client_context(cert=self.cert, key=self.key, ca=self.ca, insecure=self.insecure)

    async def connect(self) -> Link:
        if isinstance(self.server, TunnelServer):
            self.server.patience = self.stall_timeout
            return self._watch_tunnel(await self.server.next())
        if self.server is not None:
            await self.server.someone()
            return SharedServer(self.server) if self.only_write else self.server
        self.pipeline.log.info(f"dialing {place(self.url)}", stage=str(self))
        if self.tunnel:
            return self._watch_tunnel(await self._caller.connect())
        client = await WebSocketClient.connect(
            self.url,
            tls=self.tls,
            headers=self.headers,
            timeout=self.timeout,
            lines=self.format_.text,
            answers=not self.passive,
            tasks=self.tasks,
        )
        self._on_client("connected", client.remote)
        return client

    async def stop(self) -> None:
        if isinstance(self._tunnel_link, TunnelLink):
            self._tunnel_link.tells_loss = self.pipeline.lost
        try:
            await super().stop()
        finally:
            if isinstance(self.server, TunnelServer):
                self.server.release(self._tunnel_link)
            if self.server is not None:
                await self.pipeline.shared.give_back(self._key)

    def _watch_tunnel(self, link: TunnelLink | WebSocketClient) -> Link:
        if isinstance(self.server, TunnelServer):
            self.server.release(self._tunnel_link)  # a client that was gone before the session began
        self._tunnel_link = link
        if isinstance(link, TunnelLink):
            link.on_change = self._on_tunnel
        elif not self.listen:
            self._on_client("connected", link.remote)
        if not isinstance(link, TunnelLink):
            self.pipeline.log.info(
                "the other side does not offer a tunnel: the session will end when the connection is lost",
                stage=str(self),
            )
        return link

    def _on_tunnel(self, what: str) -> None:
        self.pipeline.log.warning(what, stage=str(self))
        self.pipeline.emit(events.RECONNECT, stage=str(self))

    @property
    def held(self) -> bool:
        # the other side answers pings, and its router may be slow, as over TCP
        return super().held or (isinstance(self.link, TunnelLink) and self.link.connected)

    def on_link_end(self, link: Link, failed: str) -> None:
        if isinstance(link, TunnelLink):
            self.end_reason = link.reason
            self.pipeline.lost = self.pipeline.lost or link.partner_lost

    async def _read(self, link: Link) -> None:
        if isinstance(link, TunnelLink):
            await self._read_tunnel(link)
            return
        assert isinstance(link, WebSocketClient | WebSocketServer | SharedServer)
        lines = self.new_decoder() if self.format_.text else None
        while octets := await link.read():
            if not self.only_write:
                decoder = lines or self.new_decoder()  # a frame has whole messages, so damage in it stays in it
                for piece in self.pace.pieces(octets + b"\n" if lines else octets):
                    await self.receive(self._tagged(decoder.feed(piece), link.remote))
                await self.receive(self._tagged(decoder.end(), link.remote))

    async def _read_tunnel(self, link: TunnelLink) -> None:
        """The frames of a tunnel are pieces of one stream."""
        decoder = self.new_decoder()
        while octets := await link.read():
            self._attune(decoder)
            for piece in self.pace.pieces(octets):
                await self.receive(self._tagged(decoder.feed(piece), link.remote))

    def _tagged(self, items: Iterable[Item], remote: str) -> Iterator[Message]:
        for item in items:
            for message in (item,) if isinstance(item, Message) else item:
                message.tags[REMOTE] = remote
                yield message

    def tell_loss(self, failed: str) -> None:
        if not self.listen:  # it was logged already that the last client has gone
            super().tell_loss(failed)

    def _on_client(self, what: str, remote: str) -> None:
        self.pipeline.log.info(what, stage=str(self), remote=remote)

    def _on_refused(self, remote: str, reason: str) -> None:
        host = remote.rpartition(":")[0]
        self._refusals.note("client", f"client refused: {reason}", host, remote, subject=reason, stage=str(self))

    def _on_slow(self, remote: str) -> None:
        self.pipeline.log.warning("client dropped: it is too slow", stage=str(self), remote=remote)
        self.pipeline.emit(events.SLOW, stage=str(self), values=(remote,))


def read_credentials(text: str) -> tuple[str, str]:
    """User and password, from $ENV or the first line of a file. Raises ValueError."""
    if text.startswith("$"):
        try:
            line = read_secret(text)[0]
        except ValueError:
            line = ""
        if not line:
            raise ValueError(f"--auth: {text} is not set in the environment")
    else:
        try:
            with open(text, encoding="utf-8") as file:
                line = file.readline().strip()
        except OSError as error:  # the text is not shown: it may be the secret itself, in place of a path
            raise ValueError(f"--auth: {error.strerror}: the name of a file is expected, or $NAME") from None
    user, colon, password = line.partition(":")
    if not colon:
        raise ValueError(f"--auth: USER:PASSWORD is expected in {text}")
    return user, password
