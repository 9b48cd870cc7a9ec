"""The API from the shell: `bgplite peers`, `sessions`, `sources` and others. Tables for people, or `--json`."""
