"""Stages that judge routes, count them and report them, where they wait and where they work."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path

from peers import sentinel
from points import Ready, full_listener, point, router, start, where

from bgpipe.sample import write_sample
from bgpipe.wire.message import HEADER, UPDATE

INITIATION = b"\3\0\0\0\x0f\4" + b"\0\2\0\5edge1"
"""What a router says by BMP at first: its name."""


def session(stack: ExitStack, *stages: str | Path, options: tuple[str | Path, ...] = ()) -> Ready:
    """A session through these stages, over which a message has gone."""
    other = router(stack)
    words = ("--", "listen", where(), "--", *stages, "--", "connect", "-W", "listen", other.address)
    running = start(stack, *options, *words)
    left, right = running.session(other)
    left.say(sentinel())
    while right.hear()[HEADER - 1] != UPDATE:
        pass
    return Ready(running, told=[left, right])


@point("RPKI data that don't come, a session")
def _(folder: Path, stack: ExitStack) -> Ready:
    cache, other = router(stack), router(stack)
    words = ("--", "listen", where(), "--", "rov", "-LR", "--", "connect", "-W", "listen", other.address)
    running = start(stack, "--rpki", cache.address, *words)
    cache.accept()
    return Ready(running)


@point("RPKI data that don't come, an archive")
def _(folder: Path, stack: ExitStack) -> Ready:
    cache = router(stack)
    archive, _ = write_sample(folder, messages=100)
    words = ("read", archive, "--", "rov", "--", "aspa", "--role", "peer", "--", "write", folder / "out.json")
    running = start(stack, "--rpki", cache.address, *words)
    cache.accept()
    return Ready(running)


@point("stages that judge and mark routes", quick=True)
def _(folder: Path, stack: ExitStack) -> Ready:
    (folder / "vrps.json").write_text('{"roas": [], "aspas": []}')
    stages = "rov -LR -- aspa -LR -- otc -LR --role peer -- guard -LR -- tag -LR --add a=1 -- update -LR --med 5"
    counting = ("metrics", "-LR", "--output", folder / "out.prom", "--", "write", "--format", "rib", folder / "out.mrt")
    options = ("--rpki", folder / "vrps.json")
    ready = session(stack, *stages.split(), "--", *counting, options=options)

    def check() -> None:
        assert b"bgpipe_metrics_messages_total" in (folder / "out.prom").read_bytes()
        assert (folder / "out.mrt").exists()

    ready.check = check
    return ready


@point("waiting for routers that report by BMP")
def _(folder: Path, stack: ExitStack) -> Ready:
    running = start(stack, "bmp", where(), "--", "write", folder / "out.json")
    running.waits_for_log("listening on")
    return Ready(running)


@point("a router that reports by BMP")
def _(folder: Path, stack: ExitStack) -> Ready:
    place = where()
    running = start(stack, "bmp", place, "--", "write", folder / "out.bmp")
    running.waits_for_log("listening on")
    host, _, port = place.rpartition(":")
    connected = stack.enter_context(socket.create_connection((host, int(port))))
    connected.sendall(INITIATION * 2 + INITIATION[:7])
    running.waits_for_log("router connected")
    return Ready(running)


@point("calling a router that reports by BMP")
def _(folder: Path, stack: ExitStack) -> Ready:
    running = start(stack, "bmp", "--retry", "--connect", where(), "--", "write", folder / "out.json")
    running.waits_for_log("refused")
    return Ready(running)


@point("reporting to a BMP station that reads nothing")
def _(folder: Path, stack: ExitStack) -> Ready:
    return session(stack, "bmp", "-LR", "--send", router(stack).address)


@point("calling a BMP station")
def _(folder: Path, stack: ExitStack) -> Ready:
    return session(stack, "bmp", "-LR", "--send", stack.enter_context(full_listener()))
