"""What is done to the database itself, where no bgplite is running yet."""

from __future__ import annotations

import time
from pathlib import Path
from typing import cast

from ... import tasks
from ...pipeline.errors import StageError
from ..access import Token, hash_of, new_secret
from ..audit import Actor
from ..config import TokenRole
from ..store.store import Store, StoreError
from ..values import check_peer_key


def add_token(database: str, name: str, role: str, peer: str) -> dict[str, str]:
    """As POST /api/tokens. Raises StageError."""
    if bool(peer) != (role == "peer"):
        raise StageError("--peer: ADDRESS#AS is expected for the role peer, and for no other")
    try:
        peer = check_peer_key(peer) if peer else ""
    except ValueError as error:
        raise StageError(f"--peer: {error}") from None
    secret = new_secret()
    made = Token(name=name, role=cast(TokenRole, role), hash=hash_of(secret), peer=peer, created_at=time.time())
    tasks.run(_add(database, made))
    return {"name": name, "role": role, "token": secret}


async def _add(database: str, token: Token) -> None:
    store = Store(database)
    try:
        if "://" not in database:
            Path(database).parent.mkdir(parents=True, exist_ok=True)
        await store.open()
        if token.name in {each.name for each in await store.load_tokens()}:
            raise StageError(f"there is a token {token.name} already")
        await store.save_token(token, Actor("bgplite tokens add").entry("add token", token.name))
    except (StoreError, OSError) as error:
        raise StageError(str(error)) from None
    finally:
        await store.close()
