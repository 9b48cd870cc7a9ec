"""Tables of routes, without I/O: what was announced to a peer, and how many routes there are."""
