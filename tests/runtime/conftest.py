"""Fixtures of command lines."""

from commandline import bgpipe, sample, sample_json  # noqa: F401
