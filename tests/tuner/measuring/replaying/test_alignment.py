"""Which blocks of two sizes belong together."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tuner.measuring.replaying.alignment import aligned

RATIO = 4.0


def test_sequences_that_fit_are_paired_in_order() -> None:
    """Sizes between once and the ratio times as large are partners, one by one."""
    assert aligned([1000, 2000, 3000], [1000, 8000, 6000], RATIO) == [0, 1, 2]


def test_a_workspace_of_one_size_alone_stays_without_partner() -> None:
    """What is taken at the larger size only has no partner, and shifts nobody."""
    low = [10**6, 5 * 10**6, 2 * 10**6]
    high = [4 * 10**6, 64 * 10**6, 20 * 10**6, 8 * 10**6]
    assert aligned(low, high, RATIO) == [0, None, 1, 2]


def test_a_workspace_of_the_smaller_size_is_passed_over() -> None:
    """What is taken at the smaller size only is nobody's partner."""
    assert aligned([10**6, 10**9, 2 * 10**6], [4 * 10**6, 8 * 10**6], RATIO) == [0, 2]


def test_sequences_that_have_nothing_in_common_are_not_forced() -> None:
    """Where lengths differ beyond measure, no block has a partner."""
    assert aligned([1], [10**6] * 3000, RATIO) == [None] * 3000


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.lists(st.tuples(st.integers(10**4, 10**8), st.floats(1.0, RATIO)), min_size=1, max_size=60),
    st.sets(st.integers(0, 59), max_size=5),
)
def test_partners_keep_their_order_and_are_plausible(blocks, inserted) -> None:
    """Partners never cross, and a few insertions cost no more blocks than there are of them."""
    low = [size for size, _ in blocks]
    high: list[int] = []
    for index, (size, growth) in enumerate(blocks):
        if index in inserted:
            high.append(10**12)
        high.append(int(size * growth))
    partners = aligned(low, high, RATIO)
    found = [partner for partner in partners if partner is not None]
    assert found == sorted(set(found))
    assert len(found) == len(low)
    for partner, size in zip(partners, high, strict=True):
        if partner is not None:
            assert low[partner] <= size * 1.001 + 512
            assert size <= RATIO * low[partner] * 1.001 + 512
