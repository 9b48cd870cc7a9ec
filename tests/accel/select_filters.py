"""Filters to run over blocks: every look of accel with every operator, and random combinations of them."""

from __future__ import annotations

from random import Random

_ORDER = ("==", "!=", "<", "<=", ">", ">=")
_PREFIXES = (
    *("0.0.0.0/0", "128.0.0.0/1", "10.0.0.0/8", "45.160.0.0/12", "8.8.8.0/24", "192.0.2.1", "203.0.113.0/24"),
    *("::/0", "2000::/3", "2a00::/12", "2001:db8::/32", "2001:db8::1"),
)
_PATTERNS = (
    *(",6939,", "^6939", "3356$", r"\b174\b", "[0-9]{6}", "^[0-9]+,[0-9]+$", r"\[", r"([0-9]+),.*,3356|1299", "65001"),
    *("(?i)6939", "6939.{20}1", ",,"),
)
_LIST_PATTERNS = ('"3356:', ':1"', '^"[0-9]+:[0-9]+"$', '","', "65001:(1|2)", ":[0-9]:", "(?i)1", ":,")
_ASES = (0, 174, 3356, 6939, 23456, 65001, 65010, 4200000000)

CONDITIONS = (
    *("tag[n]", "tag[n] == 3", "tag[n] != 3", "tag[n] ~ '[0-2]'", "tag[long]", "tag[none]", "tag[n] == x", "tag == 3"),
    *("update", "open", "keepalive", "notify", "refresh", "type == 77", "ipv4", "ipv6"),
    *(f"af == {family}" for family in ("IPV4", "IPV6", "UNICAST", "MULTICAST", "IPV4/MULTICAST", "IPV4/FLOWSPEC")),
    *("reach", "unreach", "reach[*]", "nexthop", "aspath", "aspath_len", "aspath_hops", "origin", "med", "local_pref"),
    *("otc", "community", "ext_community", "large_community", "dir", "seq", "time"),
    *(
        f"{name} {sign} {prefix}"
        for name in ("prefix", "reach", "unreach", "prefix[*]", "reach[*]")
        for sign in (*_ORDER, "~", "!~")
        for prefix in _PREFIXES
    ),
    *(f"nexthop {sign} {prefix}" for sign in ("~", "!~") for prefix in _PREFIXES),
    *(f"nexthop {sign} {address}" for sign in _ORDER for address in ("192.0.2.1", "80.249.208.1", "2001:7f8::1")),
    *(
        f"{name} {sign} {asn}"
        for name in ("aspath", "aspath[0]", "aspath[1]", "aspath[-3]", "aspath[9]", "as_peer", "as_origin")
        for sign in _ORDER
        for asn in _ASES
    ),
    *(f"as_upstream {sign} 3356" for sign in _ORDER),
    *(f"{name} {sign} {count}" for name in ("aspath_len", "aspath_hops") for sign in _ORDER for count in (0, 1, 3, 5)),
    *(f"aspath {sign} '{pattern}'" for sign in ("~", "!~") for pattern in _PATTERNS),
    *(f"aspath == {path}" for path in ("1,2", "65001,65001", "65001,[65002,65003]", "6939,3356,174")),
    *(f"origin {sign} {code}" for sign in ("==", "!=") for code in ("igp", "egp", "incomplete")),
    *(f"{name} {sign} {n}" for name in ("med", "local_pref", "otc") for sign in _ORDER for n in (0, 100, 65001)),
    *(f"com {sign} {one}" for sign in ("==", "!=") for one in ("65001:1", "3356:123", "65535:666", "0:0")),
    *(f"large_com {sign} 65001:1:2" for sign in ("==", "!=")),
    'ext_com == {"type":"TARGET","value":"65001:1"}',
    *(f"{name} {sign} '{text}'" for name in ("com", "large_com") for sign in ("~", "!~") for text in _LIST_PATTERNS),
    "ext_com ~ TARGET",
    *(f"dir {sign} {direction}" for sign in ("==", "!=") for direction in ("L", "R", "LR")),
    *(f"seq {sign} 20" for sign in _ORDER),
    *(f"time {sign} 2019-01-01T00:02:03" for sign in _ORDER),
    *(f"tag[{side}_{what}]" for side in ("PEER", "LOCAL") for what in ("AS", "IP")),
    *(
        f"tag[{side}_AS] {sign} {asn}"
        for side in ("PEER", "LOCAL")
        for sign in ("==", "!=")
        for asn in (65001, "0", "0x1")
    ),
    *(f"tag[{side}_IP] == {ip}" for side in ("PEER", "LOCAL") for ip in ("192.0.2.1", "2001:db8::2", "2001:DB8::2")),
    *("tag[PEER_IP] != 192.0.2.1", "tag[PEER_IP] == ::", "tag[PEER_AS] ~ 5", "tag[INTERFACE] == 8", "tag[x]"),
    *("aspath ~ _3356_", "aspath ~ '^65001 65002'", "com == 65001:*", "com == *:666", "com ~ ^65001:", "com ~ :123$"),
    *(f"peer_asn {sign} 65001" for sign in _ORDER),
    *("peer_ip == 192.0.2.1", "peer_ip ~ 192.0.2.0/24", "peer_ip !~ 2001:db8::/32", "peer_ip", "prefix"),
    *("time ~ ':0[0-4]'", "tag == 65001", "json[attrs.MED.value] > 10", "attr[ORIGIN] == IGP"),
)


def random_filter(rng: Random, depth: int = 0) -> str:
    """A few conditions joined in some way."""
    draw = rng.random()
    if depth == 3 or draw < 0.3:
        return rng.choice(CONDITIONS)
    if draw < 0.4:
        return f"!{rng.choice(CONDITIONS)}"
    if draw < 0.6:
        return f"{rng.choice(('', '!'))}({random_filter(rng, depth + 1)})"
    joint = rng.choice((" && ", " || "))
    return joint.join(random_filter(rng, depth + 1) for _ in range(rng.randint(2, 3)))
