"""An archive as a stream, beside other work of the event loop: messages per second of the archive's own time.

python examples/live.py https://data.ris.ripe.net/rrc00/latest-update.gz
"""

import asyncio
import sys
from collections import Counter

import bgpipe


async def main(source: str) -> None:
    seconds: Counter[int] = Counter()
    async with bgpipe.read_async(source) as messages:
        async for message in messages:
            seconds[message.time // 1_000_000] += 1
    for second, count in seconds.most_common(3):
        print(f"{count:>6} messages in second {second}")


asyncio.run(main(sys.argv[1]))
