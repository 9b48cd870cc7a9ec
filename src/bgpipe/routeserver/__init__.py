"""A BGP route server that announces curated prefix sets to peers that subscribe over HTTP."""
