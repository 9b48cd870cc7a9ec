"""The lines that `bgpdump -m` prints, for scripts that read them.

python examples/bgpdump.py updates.20260101.0000.bz2 [FILTER]
"""

import sys

import bgpipe

path, *expression = sys.argv[1:]
for message in bgpipe.read(path, filter=expression[0] if expression else None, states=True):
    for elem in message.elems():
        print(elem)
