"""Running pipelines: the process, sessions, signals, reload, the log, and what is shown over HTTP."""
