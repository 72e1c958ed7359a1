"""Batches of texts: every text is in exactly one batch, and no batch is over a limit."""

from itertools import pairwise

import pytest
from cachewarm_client.embedders.text_batches import padded_batches, summed_batches
from hypothesis import given
from hypothesis import strategies as st

LENGTHS = st.lists(st.integers(1, 300), max_size=200)


@given(LENGTHS, st.integers(1, 70), st.integers(1, 1_100))
def test_padded_batches_hold_every_text_once_and_stay_under_both_limits(
    lengths: list[int], texts: int, tokens: int
) -> None:
    batches = padded_batches(lengths, texts, tokens)
    assert sorted(position for batch in batches for position in batch) == list(range(len(lengths)))
    for batch in batches:
        assert 1 <= len(batch) <= texts
        assert len(batch) == 1 or len(batch) * max(lengths[position] for position in batch) <= tokens


@given(LENGTHS, st.integers(1, 70), st.integers(1, 1_100))
def test_padded_batches_never_mix_a_shorter_text_into_a_later_batch(
    lengths: list[int], texts: int, tokens: int
) -> None:
    flat = [lengths[position] for batch in padded_batches(lengths, texts, tokens) for position in batch]
    assert flat == sorted(lengths)


@given(LENGTHS, st.integers(1, 70), st.integers(300, 3_000))
def test_summed_batches_keep_the_order_and_stay_under_both_limits(sizes: list[int], texts: int, total: int) -> None:
    batches = summed_batches(sizes, texts, total)
    assert [position for batch in batches for position in batch] == list(range(len(sizes)))
    for batch in batches:
        assert 1 <= len(batch) <= texts
        assert sum(sizes[position] for position in batch) <= total


@given(LENGTHS, st.integers(1, 70), st.integers(300, 3_000))
def test_summed_batches_are_as_full_as_the_order_allows(sizes: list[int], texts: int, total: int) -> None:
    batches = summed_batches(sizes, texts, total)
    for batch, after in pairwise(batches):
        assert len(batch) == texts or sum(sizes[position] for position in batch) + sizes[after[0]] > total


def test_no_texts_make_no_batches() -> None:
    assert padded_batches([], 64, 1_024) == []
    assert summed_batches([], 64, 1_024) == []


def test_a_text_larger_than_a_request_is_refused() -> None:
    with pytest.raises(ValueError, match="text 1 has size 11"):
        summed_batches([3, 11], 64, 10)


def test_equal_lengths_fill_a_batch_exactly_to_the_limit() -> None:
    assert [len(batch) for batch in padded_batches([16] * 130, 64, 1_024)] == [64, 64, 2]
    assert [len(batch) for batch in padded_batches([32] * 70, 64, 1_024)] == [32, 32, 6]
