"""Text from elsewhere where it is printed."""

from hypothesis import given
from hypothesis import strategies as st

from batchscout.check.plain import plain


@given(st.text())
def test_nothing_printed_is_more_than_one_line_or_an_older_command(text: str) -> None:
    """No control character, line end or direction mark of any kind survives, nor `##[`."""
    shown = plain(text)
    assert shown.isprintable()
    assert "##[" not in shown


@given(st.text(st.characters(categories=["L", "N"])))
def test_what_is_harmless_is_left(text: str) -> None:
    """Letters and digits of any script stay as they are."""
    assert plain(text) == text
