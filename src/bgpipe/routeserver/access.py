"""Who may do what over the API: tokens, and the roles that they give.

A token is a secret of its owner. Only its hash is kept: of 256 random bits a plain hash can't be turned back.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from ..net.http import is_loopback
from ..net.secret import read_secret
from .config import Config, TokenRole
from .peers import Peer, Peers
from .values import check_peer_key

Role = Literal["anyone", "reader", "operator", "admin"]
"""Each may also do what those before it may."""
RANKS: Final[dict[str, int]] = {"anyone": 0, "reader": 1, "operator": 2, "admin": 3}
LOOPBACK: Final = "127.0.0.1"
COOKIE: Final = "bgplite_token"
"""The cookie with the token of who uses the pages."""
_PREFIX: Final = "bgplite_"
"""What our tokens begin with, so that who finds one knows what it is."""


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A token without its secret. peer: `ADDRESS#AS` of the peer for which one with the role peer speaks."""

    name: str
    role: TokenRole
    hash: str
    peer: str = ""
    created_at: float = 0.0
    owner: Literal["database", "config"] = "database"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks. name: for the audit log. peers: ids of the peers whose rows are its own. address: at which it may add
    peers as its own, "" for none. known: it has shown a token."""

    name: str = "anonymous"
    role: Role = "anyone"
    peers: frozenset[str] = frozenset()
    address: str = ""
    known: bool = False

    def may(self, role: Role) -> bool:
        return RANKS[self.role] >= RANKS[role]

    def owns(self, peer: Peer) -> bool:
        return peer.id in self.peers


def new_secret() -> str:
    return _PREFIX + secrets.token_urlsafe(32)


def hash_of(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="surrogateescape")).hexdigest()


def peer_key(peer: Peer) -> str:
    """`ADDRESS#AS`."""
    return f"{peer.ip}#{peer.asn}"


class Access:
    """All tokens, by name: those of the configuration, and those of the database."""

    def __init__(self, config: Config, peers: Peers) -> None:
        self._peers = peers
        self.tokens: dict[str, Token] = {}
        self._by_hash: dict[str, Token] = {}
        self.configure(config)

    def configure(self, config: Config) -> None:
        """Takes another configuration."""
        self._config = config
        kept = [each for each in self.tokens.values() if each.owner == "database"]
        self.set((*kept, *configured(config)))

    def set(self, tokens: Iterable[Token]) -> None:
        """These are all tokens; of two with one name the later counts."""
        self.tokens = {each.name: each for each in tokens}
        self._by_hash = {each.hash: each for each in self.tokens.values()}

    def objection(self, config: Config) -> str:
        """Why the API must not listen where the configuration says; "" if it may."""
        host = config.api_listen or LOOPBACK
        tokens = [each for each in self.tokens.values() if each.owner == "database"] or config.tokens
        if is_loopback(host) or tokens or config.anonymous_role is not None:
            return ""
        return (
            f"ApiListen: {host} is no loopback address, and there are no tokens. Add one under Tokens, or with bgplite "
            "tokens add --database data/bgplite.db; or say what may be done without one, such as AnonymousRole: reader"
        )

    @property
    def open_on_loopback(self) -> bool:
        """Whether all may be done without a token, only because nobody else can reach us."""
        return self._config.anonymous_role is None and self.anonymous_role == "admin"

    @property
    def anonymous_role(self) -> Role:
        """What may be done without a token: on loopback all, as long as there are no tokens."""
        said = self._config.anonymous_role
        if said is None:
            return "admin" if is_loopback(self._config.api_listen or LOOPBACK) and not self.tokens else "anyone"
        return "anyone" if said == "none" else said

    def identify(self, secret: str | None, client: str) -> Identity | None:
        """Who asks; None if the token is none of ours. secret: the token that was shown. client: address."""
        if secret is None:
            return self._at_address(client)
        token = self._by_hash.get(hash_of(secret))
        if token is None:
            return None
        if token.role != "peer":
            return Identity(f"token {token.name}", token.role, known=True)
        own = frozenset(each.id for each in self._peers if peer_key(each) == token.peer)
        return Identity(f"token {token.name}", "anyone", own, known=True)

    def _at_address(self, client: str) -> Identity:
        role = self.anonymous_role
        if not self._config.peers_by_address:
            return Identity(role=role)
        own = frozenset(each.id for each in self._peers.at(client))
        return Identity(f"address {client}", role, own, client)


def configured(config: Config) -> list[Token]:
    """The tokens of a configuration, which has been checked."""
    return [
        Token(
            name=each.name,
            role=each.role,
            hash=hash_of(read_secret(each.token)[0]),
            peer=check_peer_key(each.peer) if each.peer else "",
            owner="config",
        )
        for each in config.tokens
    ]
