"""What accel knows of path attributes: it is told by the table of bgpipe.wire.attrs, when that is imported.

Before that it knows none, and declines every message that has one.
"""


CODES = {
    "ORIGIN": ORIGIN, "AS_PATH": AS_PATH, "NEXT_HOP": NEXT_HOP, "MED": MED, "LOCAL_PREF": LOCAL_PREF,
    "ATOMIC_AGGREGATE": ATOMIC_AGGREGATE, "AGGREGATOR": AGGREGATOR, "COMMUNITY": COMMUNITY,
    "ORIGINATOR_ID": ORIGINATOR_ID, "CLUSTER_LIST": CLUSTER_LIST, "MP_REACH": MP_REACH, "MP_UNREACH": MP_UNREACH,
    "EXT_COMMUNITY": EXT_COMMUNITY, "AS4_PATH": AS4_PATH, "AS4_AGGREGATOR": AS4_AGGREGATOR,
    "LARGE_COMMUNITY": LARGE_COMMUNITY, "OTC": OTC,
}  # fmt: skip
"""The attributes that accel can read and write, by the name of their constant in bgpipe.wire.attrs."""

NAMES = {}
"""What the JSON form calls them, by code."""


cdef forget():
    for as4 in range(2):
        for code in range(256):
            RULES[as4][code] = Rule(1 << 15, 0, 1, 0, 0, False)  # no length times 1 is 0 and that long


forget()


def learn(rows):
    """Takes over the rows of the table: code, name, flags that an attribute must have, whether it may be empty, and the
    lengths of its value, None where its structure says them.

    Raises ValueError if a row that accel needs is missing or says nothing of its flags.
    """
    known = {row[0]: row for row in rows}
    for code in CODES.values():
        _, name, flags, empty, lengths = known.get(code) or (code, None, None, None, None)
        if not flags or len(name) > 28:
            raise ValueError(f"the table of attributes doesn't say enough about code {code}")
        NAMES[code] = name.encode()
        for as4 in range(2):
            size, many = (1, True) if lengths is None else (lengths.size, lengths.many)
            if not as4 and lengths is not None and lengths.as2 is not None:
                size = lengths.as2
            write_rule(&RULES[as4][code], flags, size, many, empty)
            RULES[as4][code].looks = lengths is None or code == ORIGIN


cdef write_rule(Rule* rule, unsigned flags, unsigned size, bint many, bint empty):
    rule.flags = <uint8_t> flags
    rule.least = <uint16_t> (0 if many and empty else size)
    rule.span = <uint16_t> (0xFFFF - rule.least if many else 0)
    if many and size > 1:  # for numbers of 16 bits, the rounded inverse finds the multiples
        rule.multiple = 0xFFFFFFFF // size + 1
        rule.top = rule.multiple - 1
    else:
        rule.multiple = 0
        rule.top = 0
