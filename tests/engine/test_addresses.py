"""Networks get addresses that nobody uses."""

from __future__ import annotations

from ipaddress import IPv4Network

from hypothesis import given
from hypothesis import strategies as st

from lab.engine.addresses import POOLS, free_subnet, free_subnets

blocks = st.builds(
    lambda number, prefix: IPv4Network((number, prefix), strict=False),
    st.sampled_from([int(IPv4Network(pool).network_address) for pool in POOLS]).flatmap(
        lambda first: st.integers(first, first + 2**16 - 1)
    ),
    st.integers(12, 32),
)


@given(used=st.lists(blocks, max_size=40), prefix=st.sampled_from([26, 24, 22]), seed=st.text())
def test_a_subnet_that_is_found_overlaps_nothing(used: list[IPv4Network], prefix: int, seed: str) -> None:
    found = free_subnet(prefix, used, seed=seed)
    if found is None:
        assert free_subnets(prefix, used) == 0
        return
    assert IPv4Network(found).prefixlen == prefix
    assert not any(IPv4Network(found).overlaps(block) for block in used)
    assert free_subnets(prefix, used) > 0


def test_networks_of_other_names_begin_their_search_elsewhere() -> None:
    assert len({free_subnet(26, [], seed=str(number)) for number in range(50)}) > 45


def test_the_last_free_subnet_is_found_and_then_there_is_none() -> None:
    last = IPv4Network("172.29.3.64/26")
    used = [it for pool in POOLS for it in IPv4Network(pool).subnets(new_prefix=26) if it != last]
    assert free_subnet(26, used, seed="x") == str(last)
    assert free_subnet(26, [*used, last], seed="x") is None
