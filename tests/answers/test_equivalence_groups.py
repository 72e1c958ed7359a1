"""Groups by a judge that may pay for each pair: those of a plain loop, with few and only possible pairs asked."""

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cachewarm_pipeline.answers.equivalence_groups import judged_groups
from cachewarm_pipeline.ports import AnswerPair

POSSIBLE = 0.02


def kind(text: str) -> str:
    """Responses of one kind are equivalent."""
    return text.split()[0]


@given(
    rows=st.lists(
        st.tuples(st.sampled_from("pq"), st.sampled_from("abc"), st.integers(0, 4), st.integers(0, 2)), max_size=14
    ),
    by_query=st.booleans(),
)
def test_groups_are_those_of_a_plain_loop_and_each_pair_is_asked_once(
    rows: list[tuple[str, str, int, int]], by_query: bool
) -> None:
    questions = [question for question, *_ in rows]
    responses = [f"{name} {number}" for _, name, number, _ in rows]
    queries = [query for *_, query in rows] if by_query else [0] * len(rows)
    asked: list[AnswerPair] = []

    def probability(pairs: Sequence[AnswerPair]) -> np.ndarray:
        return np.array([0.01 if "c" in (kind(pair.left), kind(pair.right)) else 0.5 for pair in pairs])

    def decide(pairs: Sequence[AnswerPair]) -> np.ndarray:
        asked.extend(pairs)
        return np.array([kind(pair.left) == kind(pair.right) for pair in pairs], bool)

    wanted: list[int] = []
    for i, response in enumerate(responses):
        heads = [h for h in dict.fromkeys(wanted) if queries[h] == queries[i]]
        equal = [h for h in heads if responses[h] == response]
        # An equal response may be a member of a group, not its head.
        equal += [wanted[j] for j in range(i) if queries[j] == queries[i] and responses[j] == response]
        alike = [h for h in heads if kind(responses[h]) == kind(response) != "c"]
        wanted.append(next(iter([*equal, *alike]), i))
    found = judged_groups(
        questions, responses, probability, decide, possible=POSSIBLE, queries=queries if by_query else None
    )
    assert found.tolist() == wanted
    assert all("c" not in (kind(pair.left), kind(pair.right)) for pair in asked)
    if not by_query:
        assert len({*asked}) == len(asked)


def test_without_responses_there_are_no_groups() -> None:
    def never(_: Sequence[AnswerPair]) -> np.ndarray:
        raise AssertionError("nothing is to be asked")

    assert judged_groups([], [], never, never, possible=POSSIBLE).tolist() == []
    assert judged_groups(["q"] * 3, [" ", "a", " "], never, never, possible=POSSIBLE).tolist() == [0, 1, 0]
