"""What warming earns and costs: savings a day, days to payback and break-even harm, each with a cautious range.

Savings a day = extra right hits x cost of a call - wrong hits x harm of one - running cost. Money is in USD.

Which wrong hits does warming cause? A cold cache serves outdated answers too. The estimate assumes that hits which a
cold cache would also have served are wrong at the same share; then warming adds wrong share x extra hits. Nothing
measures this, so the cautious end does not rely on it: there, every hit by a warmed entry may be an extra one.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cachewarm_pipeline.measurement.lift import Estimate
from cachewarm_pipeline.measurement.net_return.estimates import difference, known_sum, scaled, widened

ExtraHitsValue = Callable[[Mapping[str, float]], Estimate | None]
"""Takes the value of one extra hit by agent_type. Returns the value of all extra hits a day, with the interval of that
sum; None if it is not known."""

NO_LIFT, NO_JUDGED_HIT, NO_CALL_COST = "no lift", "no hit was judged", "no call with a known cost"
"""Why the savings of an agent_type are not known."""


@dataclass(frozen=True)
class AgentTypeFigures:
    """What the return of one agent_type is computed from; None for a figure that is not known."""

    agent_type: str
    extra_hits: Estimate | None
    """Hits a day more than without warming."""
    served_hits: float
    """Hits a day by warmed entries, extra or not."""
    wrong: Estimate | None
    """Share of ``served_hits`` that is wrong, in [0, 1], with its bounds."""
    call_usd: float | None
    """Cost of the call that a hit saves; treated as exact."""
    running_usd: float = 0.0
    """A day: refreshing, judging, memory."""
    warming_usd: float = 0.0
    """Paid once: the amount to earn back."""
    why: str = ""
    """Why a figure is not known, or a reservation about it."""


class PaybackDays(NamedTuple):
    """Days until the cost of warming is earned back; None if it never is.

    The payback of a single entry is something else: a ratio of dollars (see `entry_payback_fold`).
    """

    days: float | None
    """By the estimate of the savings."""
    least: float | None
    """By the high end of the savings."""
    most: float | None
    """By the low end of the savings."""


@dataclass(frozen=True)
class Return:
    """The return of a day, of one agent_type or in total; None for a figure if something it needs is not known.

    Each end of a range combines the worst (best) case of every part; it is not one confidence interval. The cautious
    end combines the low end of the lift and the high end of the wrong hits. It holds with a probability of at least 1
    minus the sum of the error probabilities of these two. It makes no allowance for the price of a call.
    """

    agent_type: str | None
    """None for the total."""
    extra_hits: Estimate | None
    wrong_hits: Estimate | None
    """Those that warming adds; at the high end, all wrong hits by warmed entries."""
    call_usd: float | None
    saved_usd: Estimate | None
    """(extra_hits - wrong_hits) x call_usd."""
    harm_usd: Estimate | None
    """wrong_hits x harm of one; None if the harm of a wrong hit is not set."""
    running_usd: float
    savings_usd: Estimate | None
    """saved_usd - harm_usd - running_usd; before harm if that is not set."""
    warming_usd: float
    payback_days: PaybackDays
    """By ``savings_usd``."""
    break_even_harm_usd: float | None
    """Harm of a wrong hit at which a day's savings are 0; None if no hit is wrong (warming always pays) or
    nothing is saved (it never pays)."""
    break_even_harm_low_usd: float | None
    """Likewise, by the cautious ends; 0.0 if warming does not pay even without harm."""
    why: str


@dataclass(frozen=True)
class Returns:
    """The returns of all agent types."""

    parts: list[Return]
    """By agent_type, in the order given."""
    total: Return
    """Sums of ``parts``."""
    unknown: tuple[str, ...]
    """Agent types whose savings are not known: the total counts their savings as 0 and their costs in full."""


def returns(
    parts: Sequence[AgentTypeFigures],
    harm_usd: float | None,
    value_of_extra_hits: ExtraHitsValue | None = None,
    wrong: Estimate | None = None,
) -> Returns:
    """Savings, days to payback and break-even harm of each agent_type and in total.

    ``harm_usd``: harm of one wrong hit; None if it is not set.

    A wrong hit saves nothing: a user with a wrong answer asks again. So of X extra hits with a wrong share e,
    X (1 - e) save a call, and without running cost the break-even harm is call_usd (1 - e) / e. With S served hits
    (0 <= X <= S) the wrong hits are e X. Their low end uses the low ends of e and X; their high end is the high end of
    e, times S. If X is not known, the estimate is e S: all of the harm is counted.

    ``value_of_extra_hits``: gives the interval of the total from the same data as the extra hits
    (measured_extra_hits_value, expected_extra_hits_value). Without it the ends of the parts are added, which gives a
    wider range. ``wrong``: the share of wrong hits of all agent types together. Its bounds are closer than the sum of
    the bounds of each; it assumes that agent types are asked in about the same proportions.

    Raises ValueError, which names the agent_type and the figure, for figures that are not finite, negative amounts, an
    estimate outside its range, shares outside 0 to 1, and an agent_type that occurs twice.
    """
    if harm_usd is not None:
        _check_amount("all agent types", "harm_usd", harm_usd)
    for part in parts:
        _check(part)
    names = [part.agent_type for part in parts]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"returns: agent_type {twice!r} occurs twice")
    found = [_of_part(part, harm_usd) for part in parts]
    unknown = tuple(one.agent_type or "" for one in found if one.saved_usd is None)
    pooled = wrong and _wrong_hits([part for part in parts if part.wrong], wrong)
    return Returns(found, _total(found, unknown, harm_usd, value_of_extra_hits, pooled), unknown)


def _wrong_hits(parts: Sequence[AgentTypeFigures], share: Estimate) -> Estimate:
    """Wrong hits a day that warming adds in these agent types together, at this share of wrong hits in each."""
    low, value = 0.0, 0.0
    no_low = share.low is None
    for part in parts:
        extra = part.extra_hits or Estimate(part.served_hits, part.served_hits, part.served_hits)
        value += min(max(0.0, extra.value), part.served_hits)
        low += min(max(0.0, extra.low or 0.0), part.served_hits)
        no_low = no_low or extra.low is None
    served = sum(part.served_hits for part in parts)
    return Estimate(
        share.value * value,
        None if no_low else (share.low or 0.0) * low,
        None if share.high is None else share.high * served,
    )


def _of_part(part: AgentTypeFigures, harm_usd: float | None) -> Return:
    extra, saved, why = part.extra_hits, None, part.why
    wrong = Estimate(0.0, 0.0, 0.0) if part.served_hits == 0 else part.wrong and _wrong_hits([part], part.wrong)
    if extra is None:
        why = why or NO_LIFT
    elif wrong is None:
        why = why or NO_JUDGED_HIT
    elif part.call_usd is None:
        why = why or NO_CALL_COST
    else:
        saved = scaled(difference(extra, wrong), part.call_usd)
    costs = part.running_usd, part.warming_usd
    return _return(part.agent_type, extra, wrong, part.call_usd, saved, harm_usd, costs, why)


def _total(
    found: Sequence[Return],
    unknown: Sequence[str],
    harm_usd: float | None,
    value_of_extra_hits: ExtraHitsValue | None,
    pooled: Estimate | None,
) -> Return:
    extra = known_sum([one.extra_hits for one in found])
    saved = known_sum([one.saved_usd for one in found])
    wrong = known_sum([one.wrong_hits for one in found])
    if wrong and pooled:
        wrong = widened(wrong.value, pooled.low, pooled.high)
    if value_of_extra_hits:
        known = [one for one in found if one.saved_usd and one.wrong_hits]
        gross = value_of_extra_hits({one.agent_type or "": one.call_usd or 0.0 for one in known})
        lost = _lost(known, wrong if pooled else None)
        if saved and gross and lost:
            saved = saved._replace(low=difference(gross, lost).low, high=difference(gross, lost).high)
        hits = value_of_extra_hits({one.agent_type or "": 1.0 for one in found if one.extra_hits})
        if extra and hits:
            extra = extra._replace(low=hits.low, high=hits.high)
    costs = sum(one.running_usd for one in found), sum(one.warming_usd for one in found)
    why = f"savings of {len(unknown)} of {len(found)} agent types are not known and count as 0" if unknown else ""
    return _return(None, extra, wrong, None, saved, harm_usd, costs, why)


def _lost(known: Sequence[Return], wrong: Estimate | None) -> Estimate | None:
    """USD a day of calls that wrong hits do not save: the sum over agent types. With bounds of all ``wrong`` hits
    together, at most all of them at the most expensive call, and at least all of them at the cheapest."""
    lost = known_sum([one.wrong_hits and scaled(one.wrong_hits, one.call_usd or 0.0) for one in known])
    if lost is None or wrong is None:
        return lost
    calls = [one.call_usd or 0.0 for one in known]
    least = [x for x in (lost.low, wrong.low if wrong.low is None else wrong.low * min(calls)) if x is not None]
    most = [x for x in (lost.high, wrong.high if wrong.high is None else wrong.high * max(calls)) if x is not None]
    return widened(lost.value, max(least, default=None), min(most, default=None))


def _return(
    agent_type: str | None,
    extra: Estimate | None,
    wrong: Estimate | None,
    call_usd: float | None,
    saved: Estimate | None,
    harm_usd: float | None,
    costs: tuple[float, float],
    why: str,
) -> Return:
    running_usd, warming_usd = costs
    harm = None if harm_usd is None else wrong and scaled(wrong, harm_usd)
    before_harm = saved and difference(saved, Estimate(running_usd, running_usd, running_usd))
    savings = before_harm and difference(before_harm, harm) if harm else before_harm
    even, even_low = None, None
    if before_harm and wrong and wrong.value > 0 and before_harm.value > 0:
        even = _ratio(before_harm.value, wrong.value)
    if before_harm and wrong and before_harm.low is not None and wrong.high:
        even_low = _ratio(max(0.0, before_harm.low), wrong.high)
    return Return(
        agent_type=agent_type,
        extra_hits=extra,
        wrong_hits=wrong,
        call_usd=call_usd,
        saved_usd=saved,
        harm_usd=harm,
        running_usd=running_usd,
        savings_usd=savings,
        warming_usd=warming_usd,
        payback_days=PaybackDays(
            _days_to_earn(warming_usd, savings and savings.value),
            _days_to_earn(warming_usd, savings and savings.high),
            _days_to_earn(warming_usd, savings and savings.low),
        ),
        break_even_harm_usd=even,
        break_even_harm_low_usd=even_low,
        why=why,
    )


def _days_to_earn(warming_usd: float, savings_usd: float | None) -> float | None:
    """None: never, or the savings a day are not known."""
    if savings_usd is None or savings_usd <= 0:
        return None
    return _ratio(warming_usd, savings_usd)


def _ratio(part: float, whole: float) -> float | None:
    """part / whole; None if it overflows."""
    ratio = part / whole
    return ratio if math.isfinite(ratio) else None


def _check(part: AgentTypeFigures) -> None:
    for name in ("served_hits", "running_usd", "warming_usd", "call_usd"):
        if (value := getattr(part, name)) is not None:
            _check_amount(f"agent_type {part.agent_type!r}", name, value)
    for name in ("extra_hits", "wrong"):
        estimate: Estimate | None = getattr(part, name)
        if estimate is None:
            continue
        figures = [x for x in (estimate.low, estimate.value, estimate.high) if x is not None]
        if not all(map(math.isfinite, figures)) or figures != sorted(figures):
            raise ValueError(f"returns: agent_type {part.agent_type!r} has {name} {estimate}, not low <= value <= high")
        if name == "wrong" and not (figures[0] >= 0 and figures[-1] <= 1):
            raise ValueError(f"returns: agent_type {part.agent_type!r} has wrong {estimate}, not shares of 0 to 1")


def _check_amount(whose: str, name: str, value: float) -> None:
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"returns: {name} of {whose} is {value}, not a finite amount of 0 or more")
