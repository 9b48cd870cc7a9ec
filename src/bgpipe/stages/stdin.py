"""Read messages from standard input."""
