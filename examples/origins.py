"""Which networks are in the news: the origin AS numbers with most messages in an archive.

python examples/origins.py updates.20260101.0000.bz2
"""

import sys
from collections import Counter

import bgpipe

origins: Counter[int] = Counter()
with bgpipe.read(sys.argv[1], filter="update") as messages:
    for message in messages:
        if message.update.origin_as is not None:
            origins[message.update.origin_as] += 1

for asn, count in origins.most_common(5):
    print(f"{count:>8} messages about AS{asn}")
print(f"{messages.counts.messages} messages read, {messages.counts.damaged} records damaged")
