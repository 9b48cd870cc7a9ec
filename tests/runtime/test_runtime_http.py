"""What --http shows: the overview of pipelines, the page, and the options."""

from __future__ import annotations

import asyncio
import json
import re
import sys

import pytest

from bgpipe import __version__
from bgpipe.app.build import build
from bgpipe.app.grammar import parse
from bgpipe.pipeline.errors import ConfigError, StageError
from bgpipe.runtime.dashboard import ROWS, page
from bgpipe.runtime.http import StatusServer
from bgpipe.runtime.log import StderrLog
from bgpipe.runtime.status import Overview
from bgpipe.tasks import Tasks
from bgpipe.wire.message import OPEN, UPDATE, Message
from bgpipe.wire.open import Open
from playbook import settle


def make(*words: str, number: int = 1):
    """A pipeline of the command line."""
    pipeline = build(parse(words), StderrLog("error"))
    pipeline.number = number
    return pipeline


def ended(pipeline, text: str = "gone", reason: str = "closed"):
    pipeline.start()
    pipeline.fail(StageError(text, reason=reason))
    return pipeline


PROXY = ("listen", "127.84.2.1:18420", "--", "@no v6", "drop", "ipv6", "--", "connect", "-W", "listen", "127.84.2.2")


# options


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--http", "127.84.2.1:18421"), "--http needs --http-auth or --http-open, one of them"),
        (("--http", "127.84.2.1:18421", "--http-open", "--http-auth", "u:p"), "one of them"),
        (("--http", "127.84.2.1:18421", "--http-auth", "secret"), "--http-auth: it must be user:password"),
        (("--http", "127.84.2.1:18421", "--http-auth", "$NO_SUCH"), r"--http-auth: the variable $NO_SUCH is not set"),
        (("--http", "127.84.2.1", "--http-open"), "--http: '127.84.2.1' has no port"),
        (("--http", "127.84.2.1:99999", "--http-open"), "--http: not a port"),
        (("--http-open",), "--http-auth and --http-open need --http"),
        (("--http-auth", "u:p"), "--http-auth and --http-open need --http"),
    ],
)
def test_options_that_make_no_sense(bgpipe, sample, words, complaint):
    done = bgpipe(*words, "read", sample)
    assert done.code == 2
    assert complaint in done.err
    assert "secret" not in done.err
    assert done.out == b""


def test_an_address_that_cannot_be_bound(bgpipe, sample):
    done = bgpipe("--http", "203.0.113.1:18421", "--http-open", "read", sample)
    assert done.code == 1
    assert "bgpipe: --http: can't listen on 203.0.113.1:18421: Cannot assign requested address\n" in done.err


def test_open_to_everybody_is_warned_of(capsys):
    options = parse(["--http", ":18421", "--http-open"]).options
    StatusServer(options, Overview(make(*PROXY)), StderrLog())
    assert "WRN --http-open: everybody who reaches this address sees everything http=:18421" in capsys.readouterr().err
    options = parse(["--http", "127.0.0.1:18421", "--http-open"]).options
    StatusServer(options, Overview(make(*PROXY)), StderrLog())
    assert capsys.readouterr().err == ""


def test_nothing_of_it_is_loaded_without_the_option(sample):
    import subprocess

    code = (
        "import sys; from bgpipe.cli.main import main; main(['read', sys.argv[1], '--', 'head']);"
        "sys.exit(', '.join({'aiohttp', 'bgpipe.net.http', 'bgpipe.runtime.http'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(sample)], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.returncode == 0


# overview


def test_health():
    overview = Overview(make(*PROXY))
    assert overview.health() == {"status": "ok", "version": __version__, "stages": 3, "uptime": "0s"}
    overview._clock -= 65
    assert overview.uptime == "1m5s"


def test_a_proxy_is_ready_when_its_session_is_established():
    pipeline = make(*PROXY)
    overview = Overview(pipeline)
    assert overview.why_not_ready() == "no session"
    overview.begin(pipeline)
    assert overview.why_not_ready() == "[1] listen is not up"
    pipeline.start()
    settle(pipeline)
    assert overview.why_not_ready() == "the session is not established"
    pipeline.tracker.established = True
    assert overview.why_not_ready() == ""
    overview.stopping = True
    assert overview.why_not_ready() == "stopping"


def test_files_are_ready_when_their_stages_run(sample):
    pipeline = make("read", str(sample), "--", "grep", "-W", "EOR", "ipv6")
    overview = Overview(pipeline)
    overview.begin(pipeline)
    assert overview.why_not_ready() == "[1] read is not up"
    pipeline.start()
    settle(pipeline)
    assert overview.why_not_ready() == ""


def test_many_sessions_are_ready_without_one():
    assert Overview(make("listen", "--many", ":18421", "--", "grep", "ipv6")).why_not_ready() == ""
    assert Overview(make("listen", "--again", ":18421", "--", "grep", "ipv6")).why_not_ready() == "no session"


def test_sessions():
    first, second = make(*PROXY), make(*PROXY, number=2)
    overview = Overview(first)
    overview.begin(first)
    overview.begin(second)
    shown = overview.sessions()
    assert [session["session"] for session in shown["sessions"]] == [1, 2]
    session = shown["sessions"][0]
    assert session["state"] == "connecting"
    assert session["left"]["stage"] == "[1] listen"
    assert session["right"]["stage"] == "[3] connect"
    assert session["stages"] == {"no-v6": {"filter": "ipv6", "dropped": 0}}
    overview.end(ended(first, "[1] listen: gone"))
    shown = overview.sessions()
    assert [session["session"] for session in shown["sessions"]] == [2]
    (past,) = shown["ended"]
    assert (past["session"], past["reason"]) == (1, "[1] listen: gone")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", past["ended"])
    assert json.loads(json.dumps(shown)) == shown


def test_sessions_that_ended_long_ago_are_forgotten():
    overview = Overview(make(*PROXY))
    for number in range(1, 101):
        pipeline = make(*PROXY, number=number)
        overview.begin(pipeline)
        overview.end(ended(pipeline))
    assert [past["session"] for past in overview.sessions()["ended"]] == list(range(100, 50, -1))
    assert overview.metrics().get("bgpipe_sessions_ended_total", reason="closed") == 100


def test_metrics_of_ended_sessions_stay():
    overview = Overview(make(*PROXY))
    for number in (1, 2, 3):
        pipeline = make(*PROXY, number=number)
        overview.begin(pipeline)
        pipeline.lines["R"].entered = 5
        pipeline.hold("R")
        if number < 3:
            overview.end(ended(pipeline, reason="reset"))
    for _ in range(2):  # to look changes nothing
        metrics = overview.metrics()
        assert metrics.get("bgpipe_line_entered_total", dir="right") == 15
        assert metrics.get("bgpipe_line_held", dir="right") == 1
        assert metrics.get("bgpipe_sessions", state="connecting") == 1
        assert metrics.get("bgpipe_sessions", state="established") == 0
        assert metrics.get("bgpipe_sessions_started_total") == 3
        assert metrics.get("bgpipe_sessions_ended_total", reason="reset") == 2
        assert metrics.get("bgpipe_ready") == 0
        assert metrics.get("bgpipe_info", version=__version__, accel="true") in (0, 1)
        assert metrics.get("process_resident_memory_bytes") > 1e6
        assert metrics.get("process_open_fds") > 2


def test_a_pipeline_without_ends_is_no_session(sample):
    pipeline = make("read", str(sample), "--", "drop", "ipv6")
    overview = Overview(pipeline)
    overview.begin(pipeline)
    assert overview.sessions() == {"sessions": [], "ended": []}
    metrics = overview.metrics()
    assert metrics.get("bgpipe_sessions_started_total") == 0
    assert metrics.get("bgpipe_sessions", state="connecting") == 0
    assert 'bgpipe_read_messages_total{stage="read"} 0' in metrics.text()


def test_stages():
    first, second = make(*PROXY), make(*PROXY, number=2)
    overview = Overview(first)
    overview.begin(first)
    overview.begin(second)
    assert overview.stage("no-v6") == {"filter": "ipv6", "dropped": 0}
    assert overview.stage("nothing") is None
    assert overview.stages()[1] == (2, "@no v6", "ipv6", "R", "no-v6")
    many = Overview(make("listen", "--many", ":18421", "--", "drop", "ipv6"))
    for number in (1, 2):
        many.begin(make("listen", "--many", ":18421", "--", "drop", "ipv6", number=number))
    assert many.stage("drop") == {"sessions": {n: {"filter": "ipv6", "dropped": 0} for n in (1, 2)}}


def test_limits_tell_how_many_prefixes_there_are():
    pipeline = make("listen", ":18421", "--", "limit", "-LR", "--session", "10", "--", "connect", "-W", "listen", "::1")
    overview = Overview(pipeline)
    overview.begin(pipeline)
    limit = pipeline.stages[1]
    body = bytes.fromhex("0000 0012 40010100 400200 400304 c0000201 18cb0071 18c63364".replace(" ", ""))
    body = body[:2] + (len(body) - 4 - 8).to_bytes(2, "big") + body[4:]
    assert limit.on_message(Message(UPDATE, body, direction="R"))
    assert overview.stage("limit")["prefixes"] == 2
    assert overview.stage("limit")["total"] == 2
    assert overview.metrics().get("bgpipe_limit_prefixes", stage="limit") == 2
    assert 'bgpipe_limit_removed_total{stage="limit",reason="session"} 0' in overview.metrics().text()


def test_prefixes_are_counted_for_each_peer():
    words = (
        "listen",
        "--many",
        ":18421",
        "--",
        "limit",
        "-R",
        "--session",
        "10",
        "--",
        "connect",
        "-W",
        "listen",
        "::1",
    )
    overview = Overview(make(*words))
    body = bytes.fromhex("0000 000e 40010100 400200 400304c0000201 18cb0071".replace(" ", ""))
    for number in (1, 2):
        pipeline = make(*words, number=number)
        overview.begin(pipeline)
        listen, limit, _ = pipeline.stages
        listen.facts.on_received(Message(OPEN, Open(65000 + number, 90, "192.0.2.1", ()).encode()))
        pipeline.values["L_REMOTE_ADDR"] = f"198.51.100.{number}"
        assert limit.on_message(Message(UPDATE, body, direction="R"))
    for number in (1, 2):
        labels = {"side": "left", "peer": f"198.51.100.{number}", "asn": str(65000 + number)}
        assert overview.metrics().get("bgpipe_limit_peer_prefixes", stage="limit", **labels) == 1
    assert overview.metrics().get("bgpipe_limit_prefixes", stage="limit") == 2


NAME = re.compile(r"[a-z][a-z0-9_]*")


def test_names_and_help_as_promtool_wants_them():
    """Each metric has HELP and TYPE; no name ends in _total twice; two limits are two series."""
    words = (
        "speaker --active -- limit -4 --session 9 -- limit -6 --session 9 -- @own limit -4 --total 3 -- listen :18421"
    )
    pipeline = make(*words.split())
    overview = Overview(pipeline)
    overview.begin(pipeline)
    lines = overview.metrics().text().splitlines()
    names = {line.split()[2] for line in lines if line.startswith("# TYPE")}
    assert names == {line.split()[2] for line in lines if line.startswith("# HELP")}
    for name in names:
        assert NAME.fullmatch(name)
        assert "total_total" not in name
    samples = [line.rpartition(" ")[0] for line in lines if not line.startswith("#")]
    assert len(samples) == len(set(samples))
    for stage in ("limit", "limit-3"):
        assert f'bgpipe_limit_removed_total{{stage="{stage}",reason="total"}}' in samples
        assert f'bgpipe_limit_prefixes{{stage="{stage}"}}' in samples
    assert 'bgpipe_own_removed_total{stage="own",reason="total"}' in samples


# the page


def test_the_page():
    overview = Overview(make(*PROXY))
    pipeline = make(*PROXY, number=7)
    overview.begin(pipeline)
    html = page(overview)
    for text in ("not ready: [1] listen is not up", f"version {__version__}", "<td>7<td>connecting", "stage/no-v6/"):
        assert text in html
    right, left = html.index("--&gt; MESSAGES FLOWING RIGHT --&gt;"), html.index("&lt;-- MESSAGES FLOWING LEFT &lt;--")
    assert right < html.index("[2] @no v6") < left
    assert not re.search(r"(src|href)=\"?(https?:)?//|<script|url\(", html)  # nothing of elsewhere


def test_what_others_say_is_no_html():
    evil = "<script>alert('&\"')</script>"
    pipeline = make("listen", ":18421", "--", f"@{evil}", "grep", f"tag[x] == {json.dumps(evil)[1:-1]!r}")
    overview = Overview(pipeline)
    overview.begin(pipeline)
    other = make(*PROXY, number=2)
    overview.begin(other)
    overview.end(ended(other, f"after {evil}"))
    html = page(overview)
    assert "<script" not in html
    assert html.count("&lt;script&gt;") >= 3


def test_the_page_has_an_end():
    overview = Overview(make(*PROXY))
    for number in range(ROWS + 50):
        overview.begin(make(*PROXY, number=number))
    assert page(overview).count("<td>connecting") == ROWS


SECRETS = {
    "md5": ("connect", "--md5", "k-e-y", "192.0.2.1"),
    "md5 in one word": ("connect", "--md5=k-e-y", "192.0.2.1"),
    "ao": ("connect", "--ao", "7:k-e-y", "192.0.2.1"),
    "url": ("read", "https://user:k-e-y@archive.example/x.mrt"),
    "token in a url": ("read", "https://archive.example/x.mrt?a=b&access_token=k-e-y#c"),
    "token of a websocket": ("websocket", "--read", "wss://archive.example/bgp?token=k-e-y"),
}


@pytest.mark.parametrize("what", SECRETS)
def test_no_secret_is_shown(what):
    pipeline = make(*SECRETS[what])
    overview = Overview(pipeline)
    overview.begin(pipeline)
    shown = page(overview) + overview.metrics().text() + json.dumps([overview.sessions(), overview.stages()])
    assert "k-e-y" not in shown
    assert "***" in shown


async def test_the_window_opens_and_closes():
    """It closes also while somebody looks, and leaves nothing behind."""
    options = parse(["--http", "127.84.2.1:18422", "--http-open"]).options
    overview = Overview(make(*PROXY))
    before = asyncio.all_tasks()
    server = StatusServer(options, overview, StderrLog("error"))
    await server.open(Tasks())
    reader, writer = await asyncio.open_connection("127.84.2.1", 18422)
    writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n")
    server.stopping()
    await server.close()
    assert await reader.read() == b""
    writer.close()
    assert asyncio.all_tasks() == before


def test_config_errors_of_the_window():
    options = parse(["--http", "127.0.0.1:18421"]).options
    with pytest.raises(ConfigError, match="--http-auth or --http-open"):
        StatusServer(options, Overview(make(*PROXY)), StderrLog("error"))
