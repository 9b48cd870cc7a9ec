"""What stages have in common: running a pipeline under asyncio, reading formats from streams and writing them."""
