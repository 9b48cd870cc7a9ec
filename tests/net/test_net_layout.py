"""Go's time layouts."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bgpipe.net.layout import fill_path, format_time, has_time

MOMENT = datetime(2026, 2, 3, 16, 7, 8, 90_100, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("layout", "text"),
    [
        ("20060102.1504", "20260203.1607"),
        ("2006-01-02T15:04:05Z07:00", "2026-02-03T16:07:08Z"),
        ("2006-01-02 15:04:05 -0700 MST", "2026-02-03 16:07:08 +0000 UTC"),
        ("Mon, 02 Jan 2006 15:04:05.000", "Tue, 03 Feb 2026 16:07:08.090"),
        ("Monday January _2 3:04PM", "Tuesday February  3 4:07PM"),
        ("1/2/06 03:04:05 pm", "2/3/26 04:07:08 pm"),
        ("5.999 4,000000 .9 5.9999 .0000001", "8.09 7,090100  8.0901 .0000002"),
        ("002 __2 _2006", "034  34 _2026"),
        ("-07:00:00 -07 Z0700", "+00:00:00 +00 Z"),
        ("updates", "updates"),
        ("", ""),
    ],
)
def test_layouts(layout: str, text: str) -> None:
    assert format_time(layout, MOMENT) == text


def test_hours_before_and_after_noon() -> None:
    day = datetime(2026, 2, 3, tzinfo=UTC).timestamp()
    assert [format_time("03PM", day + hour * 3600) for hour in (0, 1, 12, 23)] == ["12AM", "01AM", "12PM", "11PM"]


def test_paths() -> None:
    assert fill_path("a/$TIME/${2006}/${unknown}.b", "1504", MOMENT) == "a/1607/2026/unknown.b"
    assert [has_time(path) for path in ("$TIME", "x${06}", "${}", "$time", "a")] == [True, True, False, False, False]
