"""The canonical form of a logged response."""

import pytest

from cachewarm_pipeline.query_log.response_text import canonical_response


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ('{"a": 1, "b": 2}', '{"b":2,"a":1}', True),
        ('{"a": [1, 2]}', '{"a": [2, 1]}', False),
        ('{"a": "X"}', '{"a": "x"}', False),
        ("Yes.", "yes", True),
        ('"Yes"', "yes", True),
        ("{not json", "{NOT JSON", True),
        ("[" * 100_000, "[" * 100_000, True),
        ("", "", True),
        ("yes", "no", False),
    ],
)
def test_responses_are_equivalent_when_their_json_or_canonical_text_is_the_same(
    one: str, other: str, same: bool
) -> None:
    assert (canonical_response(one) == canonical_response(other)) is same
