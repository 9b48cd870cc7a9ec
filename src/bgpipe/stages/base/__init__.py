"""Base classes of stages: reading and writing streams, peers, external programs, policies in Python."""
