"""Metrics in the text format of Prometheus: numbers by name and labels."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import Final

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

SIDES: Final = {"L": "left", "R": "right"}

HELP: Final = {
    "bgpipe_info": "Version and accel of this bgpipe, as labels.",
    "bgpipe_uptime_seconds": "Seconds since the start.",
    "bgpipe_ready": "Whether all that should be up is up, as /readyz says.",
    "bgpipe_sessions": "Sessions at the moment, by state.",
    "bgpipe_sessions_started_total": "Sessions that have begun.",
    "bgpipe_sessions_ended_total": "Sessions that are over, by reason.",
    "bgpipe_connections_waiting": "Connections on which no OPEN has come yet.",
    "bgpipe_connections_refused_total": "Connections that became no session, by reason.",
    "bgpipe_messages_received_total": "Messages that peers have sent, by the side where the peer is, and type.",
    "bgpipe_messages_sent_total": "Messages sent to peers, by the side where the peer is, and type.",
    "bgpipe_received_bytes_total": "Octets that peers have sent.",
    "bgpipe_sent_bytes_total": "Octets sent to peers.",
    "bgpipe_queue_bytes": "Octets that peers have not taken yet.",
    "bgpipe_latency_seconds": "Time from a read to when all that came of it is written, by the side of the peer read.",
    "bgpipe_line_entered_total": "Messages that have entered a line, by the line's direction.",
    "bgpipe_line_left_total": "Messages that have come to the end of a line.",
    "bgpipe_line_held": "How many have asked the inputs of a line to wait, at the moment.",
    "bgpipe_malformed_messages_total": "Messages that could not be decoded in full.",
    "bgpipe_dropped_messages_total": "Messages that ended at a stage, by reason.",
    "bgpipe_taken_messages_total": "Messages that a stage took which makes messages itself, and may give them back.",
    "bgpipe_session_up": "Whether the session with a peer is established, by side, address and AS number of the peer.",
    "bgpipe_session_last_end": "1 for the reason why the last session with a peer ended.",
    "bgpipe_events_total": "Events by name.",
    "bgpipe_loop_lag_seconds": "How much later than due the event loop has called.",
    "bgpipe_unexpected_errors_total": "Errors that nobody has foreseen. There should be none: please report them.",
    "bgpipe_tasks": "Asyncio tasks at the moment: those of sessions go when the sessions do.",
    "bgpipe_rpki_ready": "Whether there are VRPs and ASPAs, or it is known that there are none.",
    "bgpipe_rpki_vrps_ipv4": "VRPs of IPv4 that count.",
    "bgpipe_rpki_vrps_ipv6": "VRPs of IPv6 that count.",
    "bgpipe_rpki_aspa_entries": "ASPAs that count.",
    "bgpipe_rpki_source_state": "1 for the state of a source of --rpki.",
    "bgpipe_rpki_source_active": "Whether the data that count are those of the source.",
    "bgpipe_rpki_source_vrps": "VRPs that a source has.",
    "bgpipe_rpki_source_aspas": "ASPAs that a source has.",
    "bgpipe_rpki_source_errors_total": "How often a source has failed.",
    "bgpipe_rpki_source_age_seconds": "Seconds since the data of a source were known to be up to date.",
    "bgpipe_rpki_source_version": "The version of RTR that a cache speaks.",
    "bgpipe_rpki_source_serial": "The serial number of the data of a cache.",
    "bgpipe_bmp_routers": "Routers that are connected to a BMP station.",
    "bgpipe_bmp_peers": "Peers of a router that are up, as it reports by BMP.",
    "bgpipe_bmp_statistics": "The last number of a statistic that a router has reported about a peer.",
    "bgplite_info": "Version of this bgplite, as a label.",
    "bgplite_peers": "Peers that are known.",
    "bgplite_session_up": "Whether the session with a peer is established, by address and AS number.",
    "bgplite_routes_announced": "Routes that a peer has from us.",
    "bgplite_updates_sent": "UPDATEs sent in the session of a peer.",
    "bgplite_list_prefixes": "Prefixes in a list.",
    "bgplite_list_bad_lines": "Lines of a list that can't be read.",
    "bgplite_list_failures": "How often in a row the source of a list has failed.",
    "bgplite_list_held": "Whether a version of a list waits for a word.",
    "bgplite_list_changed_timestamp_seconds": "When a list has changed, in seconds since 1970 (UTC).",
    "bgplite_list_checked_timestamp_seconds": "When the source of a list was asked, in seconds since 1970 (UTC).",
    "bgplite_tasks": "Asyncio tasks at the moment.",
    "process_cpu_seconds_total": "User and system CPU time.",
    "process_resident_memory_bytes": "Resident memory.",
    "process_open_fds": "Open file descriptors.",
    "process_start_time_seconds": "When the process started, in seconds since 1970 (UTC).",
}

Labels = tuple[tuple[str, str], ...]


def is_counter(name: str) -> bool:
    """Whether a number only grows, as its name says. (`_match` is what the stage `metrics` counts.)"""
    return name.endswith(("_total", "_match"))


class Histogram:
    """How often values, in seconds, were at most as large as each of BOUNDS."""

    BOUNDS: Final = (5e-05, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30)

    def __init__(self) -> None:
        self.counts = [0] * (len(self.BOUNDS) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(self.BOUNDS, seconds)] += 1
        self.sum += seconds

    def add(self, other: Histogram) -> None:
        self.counts = [ours + theirs for ours, theirs in zip(self.counts, other.counts, strict=True)]
        self.sum += other.sum


class Metrics:
    """Numbers by name and labels: counters, which only grow, and gauges. See is_counter."""

    def __init__(self) -> None:
        self._numbers: dict[str, dict[Labels, float]] = {}
        self._histograms: dict[str, dict[Labels, Histogram]] = {}

    def add(self, name: str, value: float, **labels: str) -> None:
        """Adds `value` to the number with this name and these labels."""
        numbers = self._numbers.setdefault(name, {})
        key = tuple(labels.items())
        numbers[key] = numbers.get(key, 0) + value

    def add_histogram(self, name: str, histogram: Histogram, **labels: str) -> None:
        histograms = self._histograms.setdefault(name, {})
        histograms.setdefault(tuple(labels.items()), Histogram()).add(histogram)

    def add_lasting(self, other: Metrics) -> None:
        """Adds the numbers of `other` that stay after a session: all but the gauges."""
        for name, numbers in other._numbers.items():
            if is_counter(name):
                for labels, value in numbers.items():
                    self.add(name, value, **dict(labels))
        for name, histograms in other._histograms.items():
            for labels, histogram in histograms.items():
                self.add_histogram(name, histogram, **dict(labels))

    def get(self, name: str, **labels: str) -> float:
        """The value of one number; 0 if it was never added to."""
        return self._numbers.get(name, {}).get(tuple(labels.items()), 0)

    def text(self) -> str:
        """All numbers in the text format 0.0.4 of Prometheus."""
        lines: list[str] = []
        for name, numbers in sorted(self._numbers.items()):
            lines += _head(name, "counter" if is_counter(name) else "gauge")
            lines += [f"{name}{_labels(labels)} {_number(value)}" for labels, value in sorted(numbers.items())]
        for name, histograms in sorted(self._histograms.items()):
            lines += _head(name, "histogram")
            for labels, histogram in sorted(histograms.items()):
                lines += _buckets(name, labels, histogram)
        return "\n".join(lines) + "\n"


def _head(name: str, kind: str) -> Iterator[str]:
    if help := HELP.get(name) or _help_of_stage(name):
        yield f"# HELP {name} {help}"
    yield f"# TYPE {name} {kind}"


def _help_of_stage(name: str) -> str:
    """The help text for a counter of a stage. It has the name of /stage/NAME; the page of the stage explains it."""
    if not name.startswith("bgpipe_"):
        return ""
    words = name.removeprefix("bgpipe_").removesuffix("_total").split("_")
    return f"Counted by the stage {words[0]}: {' '.join(words[1:]) or 'its number'}."


def _buckets(name: str, labels: Labels, histogram: Histogram) -> Iterator[str]:
    total = 0
    for bound, count in zip((*map(str, histogram.BOUNDS), "+Inf"), histogram.counts, strict=True):
        total += count
        yield f"{name}_bucket{_labels((*labels, ('le', bound)))} {total}"
    yield f"{name}_sum{_labels(labels)} {_number(histogram.sum)}"
    yield f"{name}_count{_labels(labels)} {total}"


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in labels) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
