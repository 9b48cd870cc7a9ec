"""The HTTP API: paths, bodies and answers of BGPLite, and more."""
