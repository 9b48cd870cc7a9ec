"""Runs pipelines: the process, sessions, signals, reload, the log, and pages over HTTP."""
