"""Queries asked often that no cache may answer: somebody's data is in them, or the answer changes from call to call.

How steady an answer is, and what a reviewer is told about a query that was left out.
"""

from collections.abc import Sequence

from cachewarm_client.personal_data import find_personal_data

from cachewarm_pipeline.query_log.responses import LoggedAnswer, ResponseChoice


def stability(judged: Sequence[LoggedAnswer], labels: Sequence[int], choice: ResponseChoice, answered: int) -> float:
    """Estimate of the share of all ``answered`` rows whose response says what the chosen one says, 0..1.

    The rows of the judged responses are counted. The others had rarer responses, which no judge saw: they are taken to
    agree as often as the rows of the judged responses but the best supported one, which is the nearest to a sample of
    them. Where only one response was kept, nothing speaks for the others and they count as other answers.
    """
    label = labels[judged.index(choice.answer)]
    rest = sum(answer.count for answer in judged[1:])
    agreeing = sum(answer.count for answer, own in zip(judged[1:], labels[1:], strict=True) if own == label)
    unseen = max(0, answered - judged[0].count - rest)
    estimate = choice.support + (unseen * agreeing / rest if rest else 0.0)
    return estimate / (judged[0].count + rest + unseen)


def personal_data(prompt: str, response: str = "") -> str:
    """The kinds of personal data and secrets in a query and its answer, in words; empty where there are none."""
    found = ((place, find_personal_data(text)) for place, text in (("prompt", prompt), ("response", response)))
    return "; ".join(f"{', '.join(kinds)} in the {place}" for place, kinds in found if kinds)


def volatility(judged: Sequence[LoggedAnswer], labels: Sequence[int], answered: int, share: float) -> str:
    """How a query's answers differ, in words: "5 answers, the chosen one has 31%". ``share`` is its stability."""
    groups = len(set(labels))
    if sum(answer.count for answer in judged) < answered:
        return f"at least {max(groups, 2)} answers, the chosen one has about {share:.0%}"
    return f"{groups} answers, the chosen one has {share:.0%}"
