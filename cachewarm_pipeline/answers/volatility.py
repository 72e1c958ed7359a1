"""When a frequent query counts as volatile, and why: a stored answer would soon be wrong, or wrong for another user.

Answers that merely vary are not volatile. Every call of a language model has other words, and often says more or
less than the last one. What counts is whether answers differ more as time passes, or from user to user, than they
differ anyway (answers.change_model). A query is volatile

- when its answers change over time, or differ by user, with a probability of at least a half;
- when the judge cannot tell: even answers close together nearly all differ, so nothing can be compared;
- when its stability is below CACHEWARM_MIN_STABILITY (0.67 by default). At 0 no query is volatile: then
  answers that change are warmed, and only the checks of freshness replace them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from cachewarm_pipeline.answers.answer_pairs import DISTANCES, QueryPairs
from cachewarm_pipeline.answers.change_model import BY_USER, OVER_TIME, STABLE, ChangeFit, fit_changes
from cachewarm_pipeline.number_format import plural

CANNOT_TELL = 0.85
"""A query whose answers disagree at this rate, whatever the time and the user, is one that the judge cannot tell about.
Four answers that all differ reach it. Four models that are asked twice each, and never agree with each other, do not:
each confirms itself."""

_ASKS_FOR_CHANGE = re.compile(
    r"\b(?:today|tonight|tomorrow|yesterday|now|nowadays|latest|newest|current|currently|recent|recently|upcoming"
    r"|my|mine|our|ours"
    r"|(?:this|next|last|past) (?:hour|morning|afternoon|evening|night|week|weekend|month|quarter|season|year)"
    r"|(?:19|20)\d\d-\d\d?-\d\d?|\d\d?[./]\d\d?[./](?:19|20)?\d\d"
    r"|(?:january|february|march|april|may|june|july|august|september|october|november|december) \d{1,2}"
    r"|\d{1,2}(?:st|nd|rd|th)? (?:january|february|march|april|may|june|july|august|september|october|november"
    r"|december))\b",
    re.IGNORECASE,
)


class ChangeKind(StrEnum):
    """How the answers of a query change."""

    STABLE = "stable"
    OVER_TIME = "over_time"
    BY_USER = "by_user"
    CANNOT_TELL = "cannot_tell"


REASONS = {
    ChangeKind.OVER_TIME: "answers change over time",
    ChangeKind.BY_USER: "answers differ by user",
    ChangeKind.CANNOT_TELL: "the judge cannot tell",
}
"""How the detail of a volatile query begins. The gate counts queries by it."""


@dataclass(frozen=True, slots=True)
class Volatility:
    """What is known about the changes of one query's answers."""

    kind: ChangeKind
    stability: float
    """Estimated probability that the chosen answer serves another user, or at another time, as well as the answer of a
    new call would: 1 where answers merely vary."""
    detail: str
    """The kind and its rates, for a reviewer."""

    def excluded(self, min_stability: float) -> bool:
        """Whether the query is volatile. At 0 no query is."""
        return min_stability > 0 and (self.kind != ChangeKind.STABLE or self.stability < min_stability)


@dataclass(frozen=True, slots=True)
class JudgeNoise:
    """How often two answers to one query disagree in an agent_type: pairs, and the mean disagreement of each kind."""

    agent_type: str
    queries: int
    near_pairs: int
    near_disagreement: float | None
    """Of pairs at most a day apart. None without pairs."""
    near_called_different: float | None
    """Share of these pairs that the judge calls different where it labels: its noise floor (answers.noise_floor)."""
    far_pairs: int
    far_disagreement: float | None
    """Of pairs at least a week apart."""
    same_user_pairs: int
    same_user_disagreement: float | None
    other_user_pairs: int
    other_user_disagreement: float | None
    changing_share: float
    """Share of queries whose answers change over time."""
    by_user_share: float
    cannot_tell_share: float
    sampled_share: float
    """Share of queries of whose responses only a sample was judged."""


def asks_for_change(prompt: str) -> bool:
    """Whether a prompt asks for what changes: something current, one's own, or on a date."""
    return _ASKS_FOR_CHANGE.search(prompt) is not None


def find_volatility(
    agent_type: str, prompts: Sequence[str], queries: Sequence[QueryPairs], sampled: Sequence[bool]
) -> tuple[list[Volatility], JudgeNoise]:
    """The volatility of each query of an agent_type, and the rates that were measured. ``sampled``: see JudgeNoise."""
    fit = fit_changes(queries, np.array([asks_for_change(prompt) for prompt in prompts], bool))
    found = [_volatility(fit, place, query) for place, query in enumerate(queries)]
    kinds = [one.kind for one in found]
    pairs = np.sum([query.pairs for query in queries], axis=0).tolist()
    near, far, same_user, other_user = ((int(number), differ / number if number else None) for number, differ in pairs)
    over_time, by_user, cannot_tell = (kinds.count(kind) / len(kinds) for kind in REASONS)
    return found, JudgeNoise(
        agent_type,
        len(queries),
        *near,
        sum(query.near_different for query in queries) / near[0] if near[0] else None,
        *far,
        *same_user,
        *other_user,
        changing_share=over_time,
        by_user_share=by_user,
        cannot_tell_share=cannot_tell,
        sampled_share=sum(sampled) / len(sampled),
    )


def _volatility(fit: ChangeFit, place: int, query: QueryPairs) -> Volatility:
    if not query.total[1]:  # all answers agree, so nothing can have changed
        return Volatility(ChangeKind.STABLE, 1.0, "")
    chance, near, far = fit.posterior[place], fit.near[place], fit.far[place]
    # What disagrees beyond the noise, as a share of what the noise leaves.
    excess = (far - near) / np.maximum(1 - near, 1e-9)
    stability = float(np.clip(1 - chance @ excess, 0.0, 1.0))
    if chance[OVER_TIME] + chance[BY_USER] >= 0.5:
        if chance[OVER_TIME] >= chance[BY_USER]:
            return Volatility(ChangeKind.OVER_TIME, stability, _over_time(query, int(fit.shape[place])))
        rates = _percent(query.users)
        detail = f"{rates[0]} of pairs of one user differ, {rates[1]} of pairs of two users"
        return Volatility(ChangeKind.BY_USER, stability, f"{REASONS[ChangeKind.BY_USER]}: {detail}")
    facts, differ = query.total.tolist()
    # By its own answers, or by those of the other queries where it has too few.
    if max((differ + 0.5) / (facts + 1), near[STABLE]) >= CANNOT_TELL:
        detail = f"{_percent(query.total[None])[0]} of pairs differ, whatever the time between them and the user"
        return Volatility(
            ChangeKind.CANNOT_TELL, float(1 - differ / facts), f"{REASONS[ChangeKind.CANNOT_TELL]}: {detail}"
        )
    return Volatility(ChangeKind.STABLE, stability, f"a stored answer would serve {stability:.0%} of calls")


def _over_time(query: QueryPairs, shape: int) -> str:
    near, far = _percent(query.shapes[shape])
    if shape < len(DISTANCES):
        distance = DISTANCES[shape]
        close = "of one day" if distance == 1 else f"less than {distance} days apart"
        detail = f"{near} of pairs {close} differ, {far} of pairs at least {plural(distance, 'day')} apart"
    else:
        day = date.fromordinal(query.cuts[shape - len(DISTANCES)])
        detail = f"{near} of pairs on the same side of {day} differ, {far} of pairs across it"
    return f"{REASONS[ChangeKind.OVER_TIME]}: {detail}"


def _percent(cells: NDArray[np.float64]) -> list[str]:
    return [f"{differ / facts:.0%}" if facts else "none" for facts, differ in cells.tolist()]
