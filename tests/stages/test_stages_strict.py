"""--strict: the first piece of damage is an error."""

from __future__ import annotations

import pytest
from bmp_routers import initiation, monitored, router
from sessions import address, make_update, running

from bgpipe.pipeline.errors import Incomplete, StageError


@pytest.mark.parametrize("name", ["x.raw", "x.json", "x.bmp"])
async def test_the_first_damage_ends_it(tmp_path, name):
    good, bad = {
        "x.raw": (make_update(1).octets, b"x"),
        "x.json": (b'["R",1,"","KEEPALIVE",null]\n', b"[1,\n"),
        "x.bmp": (monitored("192.0.2.0/24"), bytes(7)),
    }[name]
    (tmp_path / name).write_bytes(good * 2 + bad + good)
    async with running("read", "--strict", tmp_path / name, "--", "write", tmp_path / "out.json") as run:
        with pytest.raises(StageError, match=r"damaged input.*--strict"):
            await run.ended()
    async with running("read", tmp_path / name, "--", "write", tmp_path / "out.json") as run:
        with pytest.raises(Incomplete, match="1 piece of damaged input"):
            await run.ended()
    assert len((tmp_path / "out.json").read_text().splitlines()) == 3


async def test_a_router_that_sends_something_else():
    where = address()
    async with running("bmp", "--strict", where) as run:
        await run.until(lambda: run.happened("bmp/START"))
        async with router(where, initiation(), bytes(10)):
            with pytest.raises(StageError, match=r"not a BMP message.*--strict"):
                await run.ended()
