"""The digest of a spec, here and in the service."""

from hypothesis import given
from hypothesis import strategies as st

from batchscout.check import digest as ours
from tuner.spec import canonical

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


@given(VALUES.filter(lambda value: "\\ud" not in ascii(value)))
def test_the_digest_is_the_services(value: object) -> None:
    """Whatever stands in a spec, a lock and the service digest it to the same."""
    assert ours.digest(value) == canonical.digest(value)
