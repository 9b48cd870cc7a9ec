"""What is at each address of the pages: a peer's own page, an overview for operators, a search for addresses.

They are made here, work without scripts, and do nothing that the API can't do.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec
from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined

from ...routes.explain import explain
from ...routes.policy import Subscription
from ...wire.errors import TextError
from .. import snippets
from ..access import COOKIE
from ..api import peer_handlers, status
from ..api.call import MAX_REASON, Call
from ..api.operations import PAGE, Operation
from ..api.records import NewPeer, PeerChange
from ..management import Refused
from ..peers import Peer
from .forms import CHOICES, NUMBERS, as_number, lines, subscription
from .texts import LANGUAGES, choose, say_in, tell_in

MAX_PEERS: Final = 100
"""Peers for which a search explains what they have."""
YEAR: Final = 365 * 24 * 3600
LANGUAGE: Final = "bgplite_language"
MAX_FIELDS: Final = 10_000
"""Fields of a form."""
FORM: Final = "application/x-www-form-urlencoded"
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_KEY: Final = secrets.token_bytes(32)
_MEDIA: Final = {"style.css": "text/css", "events.js": "text/javascript"}


async def home(call: Call) -> web.StreamResponse:
    """The peers of who asks; for readers all peers, sessions and lists."""
    return _home(call)


async def add(call: Call) -> web.StreamResponse:
    """Adds a peer at the address of who asks, or at another if an operator asks."""
    said = await _form(call)
    try:
        ip, asn = _first(said, "ip") or call.client, as_number(_first(said, "asn"))
        peer = await peer_handlers.add_peer(call, peer_handlers.AddQuery(), NewPeer(ip=ip, asn=asn))
    except Refused as error:
        return _home(call, str(error), error.status)
    return _see(f"/peers/{peer.id}")


async def peer(call: Call) -> web.StreamResponse:
    """What one peer is, has, and has subscribed to."""
    return await _peer(call, call.management.peer(call.id), {})


async def change(call: Call) -> web.StreamResponse:
    """Changes the subscription of a peer, or shows what would change."""
    said = await _form(call)
    found = call.management.peer(call.id)
    fields: dict[str, Any] = {}
    try:
        fields = subscription(said)
        if _first(said, "action") == "preview":
            return await _peer(call, found, fields, preview=True)
        await peer_handlers.change_peer(call, PeerChange(**{name: _as_json(each) for name, each in fields.items()}))
    except Refused as error:
        return await _peer(call, found, fields, error=str(error), code=error.status)
    return _see(f"/peers/{call.id}?done=Stored")


async def delete(call: Call) -> web.StreamResponse:
    """Ends the session of a peer, and forgets the peer."""
    await _form(call)
    await call.management.delete_peer(call.id)
    return _see("/")


async def approve(call: Call) -> web.StreamResponse:
    """Lets a pending peer have routes."""
    await _form(call)
    await call.management.approve(call.id)
    return _see(f"/peers/{call.id}")


async def bar(call: Call) -> web.StreamResponse:
    """Ends the session of a peer, which may not come back until it is approved."""
    await _form(call)
    await call.management.bar(call.id)
    return _see(f"/peers/{call.id}")


async def accept(call: Call) -> web.StreamResponse:
    """Lets the version of a list that is held back count."""
    await _form(call)
    await call.management.accept(call.place("name"))
    return _see("/")


async def refresh(call: Call) -> web.StreamResponse:
    """Asks the source of a list now."""
    await _form(call)
    call.management.refresh_list(call.place("name"))
    return _see("/")


async def search(call: Call) -> web.StreamResponse:
    """Which lists have an address, and what each peer has for it."""
    target = call.request.query.get("target", "").strip()
    if not target:
        return _page(call, "search.html", target="", searched=False)
    server = call.server
    every = Subscription(lists=tuple(each.name for each in server.lists.public))
    try:
        lists = [(step.source, step.prefix) for step in explain(target, every, server.tables.tables).steps]
        peers = list(server.peers)
        found = []
        for each in peers[:MAX_PEERS]:
            why = call.management.why(each, target)
            found.append((each, why, call.management.why_not(each, why)))
            await asyncio.sleep(0)  # the table of a peer that is not here may have to be made first
    except (TextError, Refused) as error:
        return _page(call, "search.html", error=str(error), code=400, target=target, searched=False)
    more = len(peers) > MAX_PEERS
    return _page(
        call, "search.html", target=target, searched=True, found_lists=lists, explanations=found, more_peers=more
    )


async def login(call: Call) -> web.StreamResponse:
    """Keeps a token in a cookie of the browser."""
    secret = _first(await _form(call), "token").strip()
    if call.server.access.identify(secret, call.client) is None:
        return _home(call, "This token is none of ours", 403)
    answer = _see("/")
    answer.set_cookie(COOKIE, secret, httponly=True, samesite="Strict", secure=call.request.secure)
    return answer


async def logout(call: Call) -> web.StreamResponse:
    """Forgets the token."""
    await _form(call)
    answer = _see("/")
    answer.del_cookie(COOKIE)
    return answer


async def static(call: Call) -> web.StreamResponse:
    """The style sheet, and the script."""
    name = call.place("name")
    if name not in _MEDIA:
        raise Refused("Not found", 404)
    text = (resources.files(__package__) / "static" / name).read_text()
    return web.Response(text=text, content_type=_MEDIA[name], headers={"X-Content-Type-Options": "nosniff"})


PAGES: Final = (
    Operation("GET", "/", home, "The overview", "anyone", media=PAGE),
    Operation("GET", "/search", search, "Where an address is", media=PAGE),
    Operation("GET", "/static/{name}", static, "The style sheet and the script", "anyone", media=PAGE),
    Operation("POST", "/login", login, "Use a token", "anyone", media=PAGE),
    Operation("POST", "/logout", logout, "Forget the token", "anyone", media=PAGE),
    Operation("POST", "/peers", add, "Add a peer", "operator", own=True, media=PAGE),
    Operation("GET", "/peers/{id}", peer, "A peer", own=True, media=PAGE),
    Operation("POST", "/peers/{id}", change, "Change a peer", "operator", own=True, media=PAGE),
    Operation("POST", "/peers/{id}/delete", delete, "Delete a peer", "operator", own=True, media=PAGE),
    Operation("POST", "/peers/{id}/approve", approve, "Let a pending peer have routes", "operator", media=PAGE),
    Operation("POST", "/peers/{id}/bar", bar, "End its session; it may not come back", "operator", media=PAGE),
    Operation("POST", "/lists/{name}/accept", accept, "Let the held version of a list count", "operator", media=PAGE),
    Operation("POST", "/lists/{name}/refresh", refresh, "Ask the source of a list now", "operator", media=PAGE),
)


def refusal(call: Call, error: Refused) -> web.StreamResponse:
    """The page that says why something is not done."""
    return _home(call, str(error), error.status)


def _short(text: str) -> str:
    """An error, which may have all in it that was sent."""
    return text if len(text) <= MAX_REASON else f"{text[:MAX_REASON]}..."


def _home(call: Call, error: str = "", code: int = 200) -> web.StreamResponse:
    server, identity = call.server, call.identity
    reads = identity.may("reader")
    peers = [*server.peers, *server.peers.templates] if reads else []
    own = [each for each in server.peers if identity.owns(each) or (reads and each.ip == call.client)]
    return _page(
        call,
        "home.html",
        error=error,
        code=code,
        live=True,
        own=own,
        peers=peers,
        sessions=[status.show_session(each) for each in server.sessions.sessions.values()] if reads else [],
        lists=[status.show_list(each) for each in server.lists.public] if reads else [],
        trouble=status.health(server).get("trouble", []) if reads else [],
        advertised=server.advertised,
        may_add=identity.may("operator") or bool(identity.address),
        tokens=bool(server.access.tokens),
        with_token=identity.known,
    )


async def _peer(
    call: Call,
    peer: Peer,
    fields: Mapping[str, Any],
    *,
    preview: bool = False,
    error: str = "",
    code: int = 200,
) -> web.StreamResponse:
    server, query = call.server, call.request.query
    session = server.sessions.sessions.get(peer.id)
    names = ("lists", "custom_prefixes", "exclude", "custom_asns", "communities", "description", *NUMBERS, *CHOICES)
    form = {name: getattr(peer, name) for name in names} | dict(fields)
    changeable = peer.owner != "config" and not peer.template
    held = call.server.tables.rules(msgspec.structs.replace(peer, **dict.fromkeys((*NUMBERS, *CHOICES))))
    router = query.get("router", "")
    setup: list[str] = []
    if router:
        try:
            gateways = {name: query[name].strip() for name in ("gateway", "gateway6") if name in query}
            setup = call.management.setup(peer, router, **gateways)
        except Refused as refused:
            error, code = str(refused), refused.status
    return _page(
        call,
        "peer.html",
        error=error,
        code=code,
        live=not fields and not router,
        done=query.get("done") == "Stored" and "Stored",
        peer=peer,
        session=status.show_session(session) if session is not None else None,
        lists=[status.show_list(each) for each in server.lists.public],
        form=form,
        written=lines,
        numbers=NUMBERS,
        choices=CHOICES,
        held=held,
        change=await _change(call, peer, fields) if preview else None,
        network=server.peers.get(peer.template) if peer.template else None,
        changeable=changeable and (call.identity.may("operator") or call.identity.owns(peer)),
        kinds=sorted(snippets.KINDS),
        router=router,
        gateway=query.get("gateway", ""),
        gateway6=query.get("gateway6", ""),
        setup=setup,
    )


async def _change(call: Call, peer: Peer, fields: Mapping[str, Any]) -> dict[str, Any]:
    """What would change. Raises Refused."""
    found = await call.management.diff(peer, dict(fields))
    routes = (await call.management.try_change(peer, dict(fields))).view.table.count
    return {"more": list(found.more), "fewer": list(found.fewer), "routes": routes}


def _page(call: Call, template: str, *, code: int = 200, **values: Any) -> web.StreamResponse:
    request = call.request
    asked = request.query.get("lang", "")
    language = choose(asked or request.cookies.get(LANGUAGE, ""), request.headers.get("Accept-Language", ""))
    known = {
        "asn": call.server.config.bgp.asn,
        "client": call.client,
        "done": "",
        "error": "",
        "language": language,
        "languages": LANGUAGES,
        "live": False,
        "mark": _mark(call),
        "may": call.identity.may,
        "say": say_in(language),
        "tell": tell_in(language),
    }
    text = _templates().get_template(template).render(known | values | {"error": _short(values.get("error", ""))})
    answer = web.Response(text=text, status=code, content_type="text/html", headers=HEADERS)
    if asked in LANGUAGES:
        answer.set_cookie(LANGUAGE, asked, max_age=YEAR, httponly=True, samesite="Lax")
    return answer


@cache
def _templates() -> Environment:
    return Environment(loader=PackageLoader(__package__), autoescape=True, undefined=StrictUndefined, trim_blocks=True)


async def _form(call: Call) -> Mapping[str, Sequence[str]]:
    """The fields of a form. Raises Refused."""
    if call.request.content_type != FORM:
        raise Refused("this is no form", 415)
    body = await call.body()
    try:
        said = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        raise Refused("this is no form") from None
    if not hmac.compare_digest(_first(said, "mark").encode(), _mark(call).encode()):
        raise Refused("this form was not made here, or it is too old: load its page again", 403)
    return said


def _mark(call: Call) -> str:
    """What our own forms carry, so that no other site can send one in the name of who has a token or an address."""
    said = f"{call.client} {call.request.cookies.get(COOKIE, '')}"
    return hmac.new(_KEY, said.encode(), "sha256").hexdigest()


def _as_json(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _first(said: Mapping[str, Sequence[str]], name: str) -> str:
    return next(iter(said.get(name, ())), "")


def _see(path: str) -> web.Response:
    """Another page, to be asked for with GET."""
    return web.Response(status=303, headers={"Location": path})
