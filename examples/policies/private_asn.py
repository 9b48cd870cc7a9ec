"""Take private AS numbers (RFC 6996) out of AS paths, and withdraw routes of which then nothing is left.

bgpipe 192.0.2.1 -- py -R private_asn.py -- 198.51.100.1
"""

from __future__ import annotations

from bgpipe import Message

PRIVATE = (range(64512, 65535), range(4_200_000_000, 4_294_967_295))


def is_private(asn: int) -> bool:
    return any(asn in numbers for numbers in PRIVATE)


def update(m: Message) -> None:
    path = m.update.as_path
    if not path or not m.update.reach or not any(map(is_private, path.ases)):
        return
    hops: list[int | list[int]] = []
    for hop in path.hops:
        if isinstance(hop, int):
            hops += [] if is_private(hop) else [hop]
        elif left := [asn for asn in hop if not is_private(asn)]:
            hops.append(left)
    m.update = m.update.replace(attrs={"ASPATH": hops, "AS4PATH": None}) if hops else m.update.withdraw()
