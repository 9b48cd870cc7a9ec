"""What covers an address or a prefix, against a walk through all prefixes."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import IPV4, IPV6, SETS, close, networks

from bgpipe.routes.lookup import Lookup
from bgpipe.routes.prefixes import EMPTY
from bgpipe.wire.errors import TextError
from bgpipe.wire.prefix import parse_prefix


@given(st.one_of(SETS, close(max_size=12)), st.one_of(IPV4, IPV6, st.sampled_from(["10.0.0.5", "2001:db8::1"])))
def test_covering_prefixes(prefixes, target):
    found = Lookup(prefixes)
    wanted = ipaddress.ip_network(target)
    same = [network for network in networks(prefixes) if network.version == wanted.version]
    covering = [network for network in same if wanted.subnet_of(network)]
    covering.sort(key=lambda network: -network.prefixlen)
    assert list(map(str, found.covering(target))) == list(map(str, covering))
    assert str(found.longest(target)) == (str(covering[0]) if covering else "None")
    if "/" in target:
        assert found.longest(parse_prefix(target)) == found.longest(target)


def test_what_is_no_address():
    with pytest.raises(TextError, match=r"10\.0\.0"):
        Lookup(EMPTY).longest("10.0.0")
