"""When a frequent query counts as volatile: its response changes from call to call, so a stored one would be wrong.

A query is volatile when its stability is below CACHEWARM_MIN_STABILITY (0.67 by default). Its stability is the share of
its answered log rows that agree with the response that would be warmed.
"""

from collections.abc import Sequence

from cachewarm_pipeline.answers.response_choice import LoggedAnswer, ResponseChoice


def is_volatile(share: float, min_stability: float) -> bool:
    """Whether a frequent query is volatile and excluded from warming. ``share``: its ``stability``, 0..1."""
    return share < min_stability


def stability(judged: Sequence[LoggedAnswer], labels: Sequence[int], choice: ResponseChoice, answered: int) -> float:
    """Estimated share of all ``answered`` rows whose response is equivalent to the chosen one, 0..1.

    ``judged``: the responses that the judge compared, best supported first, with their group ``labels``. Their rows are
    counted. The other rows had rarer responses, which no judge compared: they are assumed to agree as often as the rows
    of the judged responses other than the best supported one, because those resemble them most. If only one response
    was judged there is nothing to estimate from, and all other rows count as different answers.
    """
    label = labels[judged.index(choice.answer)]
    rest = sum(answer.count for answer in judged[1:])
    agreeing = sum(answer.count for answer, own in zip(judged[1:], labels[1:], strict=True) if own == label)
    unjudged = max(0, answered - judged[0].count - rest)
    estimate = choice.support + (unjudged * agreeing / rest if rest else 0.0)
    return estimate / (judged[0].count + rest + unjudged)


def describe_volatility(judged: Sequence[LoggedAnswer], labels: Sequence[int], answered: int, share: float) -> str:
    """How a query's answers differ, for a reviewer: "5 answers, the chosen one has 31%". ``share``: its stability."""
    groups = len(set(labels))
    if sum(answer.count for answer in judged) < answered:
        return f"at least {max(groups, 2)} answers, the chosen one has about {share:.0%}"
    return f"{groups} answers, the chosen one has {share:.0%}"
