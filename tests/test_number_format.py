"""Counts as a person reads them; dollars and durations are tested with the page that shows them."""

import pytest

from cachewarm_pipeline.number_format import plural


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 entries"), (1, "1 entry"), (2, "2 entries"), (12_000, "12,000 entries")]
)
def test_a_count_agrees_with_its_noun(number: int, text: str) -> None:
    assert plural(number, "entry", "entries") == text


def test_the_plural_takes_an_s_by_default() -> None:
    assert (plural(1, "hit"), plural(3, "hit")) == ("1 hit", "3 hits")
