"""What warming earns and costs: savings a day, payback and break-even harm, expected or measured, in cautious ranges.

Savings a day = extra right hits x cost of a call - wrong hits x harm - running cost. Money is in USD.

Which wrong hits are warming's? A cold cache repeats outdated answers too. The estimate takes it that hits which it
would have given as well are wrong at the same share: then warming adds wrong share x extra hits. Nothing measures that,
so the cautious end does not lean on it: there every hit by a warmed entry may be one that would not have been.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cachewarm_pipeline.measurement.lift import Estimate

ExtraHitsValue = Callable[[Mapping[str, float]], Estimate | None]
"""From the value of an extra hit by agent_type to the value of all extra hits a day, with the interval of the sum."""


@dataclass(frozen=True)
class Part:
    """What is known of one agent_type. None where it is not known; ``why``: for which reason, or with what reservation.

    ``extra_hits`` a day over what there would be without warming. ``served_hits``: hits a day by warmed entries, extra
    or not. ``wrong``: share of those that is wrong, in [0, 1], with its bounds. ``call_usd``: of the call that a hit
    saves, taken as known. ``running_usd`` a day: refreshing, judging, memory. ``warming_usd``: paid once, to be paid
    back.
    """

    agent_type: str
    extra_hits: Estimate | None
    served_hits: float
    wrong: Estimate | None
    call_usd: float | None
    running_usd: float = 0.0
    warming_usd: float = 0.0
    why: str = ""


class PaybackDays(NamedTuple):
    """Days until the warming cost is earned back: by the estimate, and by the ends of the range of the savings. None
    where that saves nothing: never."""

    days: float | None
    least: float | None
    most: float | None


@dataclass(frozen=True)
class Return:
    """A day of one agent_type, or of all where ``agent_type`` is None. None where something it needs is not known.

    ``wrong_hits``: those that warming adds; its high end: all by warmed entries. ``savings_usd`` = ``saved_usd`` -
    ``harm_usd`` - ``running_usd``; where the harm of a wrong hit is not set ``harm_usd`` is None, and savings and
    payback are before it.

    Ranges are boxes, not intervals of one confidence: the cautious end takes the low end of the lift and the high end
    of the wrong hits, and holds with at least 1 - the sum of what each of these may fail. Nothing in it is for the
    price of a call. ``break_even_harm_usd``: harm of a wrong hit at which a day's savings are 0; None where nothing is
    wrong (no harm is too much) or nothing is saved (any is); ``break_even_harm_low_usd``: by the cautious ends, 0.0
    where even no harm is too much.
    """

    agent_type: str | None
    extra_hits: Estimate | None
    wrong_hits: Estimate | None
    call_usd: float | None
    saved_usd: Estimate | None
    harm_usd: Estimate | None
    running_usd: float
    savings_usd: Estimate | None
    warming_usd: float
    payback: PaybackDays
    break_even_harm_usd: float | None
    break_even_harm_low_usd: float | None
    why: str


@dataclass(frozen=True)
class Returns:
    """``parts`` by agent_type in the order given; ``total``: their sums. ``unknown``: agent types whose savings are not
    known: what they save counts as nothing in the total, what they cost counts in full."""

    parts: list[Return]
    total: Return
    unknown: tuple[str, ...]


def returns(
    parts: Sequence[AgentTypeFigures], harm_usd: float | None, combine: ExtraHitsValue | None = None, wrong: Estimate | None = None
) -> Returns:
    """Savings, payback and break-even harm of each agent_type and in total; ``harm_usd``: of one wrong hit, None where
    nobody has said.

    A wrong hit saves nothing: who got a wrong answer asks again. So of X extra hits and a wrong share e, X (1 - e) save
    a call, and without running cost the break-even harm is call_usd (1 - e) / e. Of X extra and S served hits, X within
    0 and S, the wrong ones are e X; at the low end by the low ends of both, at the high end the high e times S. Where X
    is not known, the estimate is e S too: harm is told in full.

    ``combine``: tells the total's interval of the same extra hits (measured_extra_hits_value, expected_extra_hits_value); without it the ends of
    the parts are added, which is wider. ``wrong``: likewise the share of wrong hits of all agent types together, whose
    bounds are nearer than the sum of those of each; it takes them to be asked in about the same proportions.

    Raises ValueError, which names the agent_type and the figure, for figures that are not finite or negative where they
    cannot be, ends that are no interval, shares outside 0 to 1, and for an agent_type that comes twice.
    """
    if harm_usd is not None:
        _amount("all agent types", "harm_usd", harm_usd)
    for part in parts:
        _check(part)
    names = [part.agent_type for part in parts]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"returns: agent_type {twice!r} comes twice")
    found = [_of_part(part, harm_usd) for part in parts]
    unknown = tuple(one.agent_type or "" for one in found if one.saved_usd is None)
    pooled = wrong and _wrong_hits([part for part in parts if part.wrong], wrong)
    return Returns(found, _total(found, unknown, harm_usd, combine, pooled), unknown)


def _wrong_hits(parts: Sequence[AgentTypeFigures], share: Estimate) -> Estimate:
    """A day, of these agent types together, each of which has this share of wrong hits."""
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
        why = why or "no lift"
    elif wrong is None:
        why = why or "no hit was judged"
    elif part.call_usd is None:
        why = why or "no call with a known cost"
    else:
        saved = scaled(_minus(extra, wrong), part.call_usd)
    costs = part.running_usd, part.warming_usd
    return _return(part.agent_type, extra, wrong, part.call_usd, saved, harm_usd, costs, why)


def _total(
    found: Sequence[Return],
    unknown: Sequence[str],
    harm_usd: float | None,
    combine: ExtraHitsValue | None,
    pooled: Estimate | None,
) -> Return:
    extra = _sum([one.extra_hits for one in found])
    saved = _sum([one.saved_usd for one in found])
    wrong = _sum([one.wrong_hits for one in found])
    if wrong and pooled:
        wrong = widened(wrong.value, pooled.low, pooled.high)
    if combine:
        known = [one for one in found if one.saved_usd and one.wrong_hits]
        gross = combine({one.agent_type or "": one.call_usd or 0.0 for one in known})
        lost = _lost(known, wrong if pooled else None)
        if saved and gross and lost:
            saved = saved._replace(low=_minus(gross, lost).low, high=_minus(gross, lost).high)
        hits = combine({one.agent_type or "": 1.0 for one in found if one.extra_hits})
        if extra and hits:
            extra = extra._replace(low=hits.low, high=hits.high)
    costs = sum(one.running_usd for one in found), sum(one.warming_usd for one in found)
    why = f"{len(unknown)} of {len(found)} agent types are not known and count as saving nothing" if unknown else ""
    return _return(None, extra, wrong, None, saved, harm_usd, costs, why)


def _lost(known: Sequence[Return], wrong: Estimate | None) -> Estimate | None:
    """USD a day of calls that wrong hits do not save: the sum of the parts; with bounds of all ``wrong`` hits together
    no more than if they were all of the dearest calls, and no less than if of the cheapest."""
    lost = _sum([one.wrong_hits and scaled(one.wrong_hits, one.call_usd or 0.0) for one in known])
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
    before_harm = saved and _minus(saved, Estimate(running_usd, running_usd, running_usd))
    savings = before_harm and _minus(before_harm, harm) if harm else before_harm
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
        payback=PaybackDays(
            _payback(warming_usd, savings and savings.value),
            _payback(warming_usd, savings and savings.high),
            _payback(warming_usd, savings and savings.low),
        ),
        break_even_harm_usd=even,
        break_even_harm_low_usd=even_low,
        why=why,
    )


def _payback(warming_usd: float, savings_usd: float | None) -> float | None:
    if savings_usd is None or savings_usd <= 0:
        return None
    return _ratio(warming_usd, savings_usd)


def _ratio(part: float, whole: float) -> float | None:
    """None where it is beyond all numbers."""
    ratio = part / whole
    return ratio if math.isfinite(ratio) else None


def widened(value: float, low: float | None, high: float | None) -> Estimate:
    """An interval of a bootstrap need not hold the estimate; then it is widened to it."""
    return Estimate(value, None if low is None else min(low, value), None if high is None else max(high, value))


def scaled(of: Estimate, by: float) -> Estimate:
    """``by`` >= 0."""
    return Estimate(*(None if x is None else x * by for x in of))  # type: ignore[arg-type]


def _minus(one: Estimate, other: Estimate) -> Estimate:
    low = None if one.low is None or other.high is None else one.low - other.high
    high = None if one.high is None or other.low is None else one.high - other.low
    return Estimate(one.value - other.value, low, high)


def _sum(parts: Sequence[Estimate | None]) -> Estimate | None:
    """Of those that are known; without the ends where one has none."""
    known = [part for part in parts if part is not None]
    if not known:
        return None
    lows, highs = [part.low for part in known], [part.high for part in known]
    return Estimate(
        sum(part.value for part in known),
        None if None in lows else sum(low or 0.0 for low in lows),
        None if None in highs else sum(high or 0.0 for high in highs),
    )


def _check(part: Part) -> None:
    for name in ("served_hits", "running_usd", "warming_usd", "call_usd"):
        if (value := getattr(part, name)) is not None:
            _amount(f"agent_type {part.agent_type!r}", name, value)
    for name in ("extra_hits", "wrong"):
        estimate: Estimate | None = getattr(part, name)
        if estimate is None:
            continue
        told = [x for x in (estimate.low, estimate.value, estimate.high) if x is not None]
        if not all(map(math.isfinite, told)) or told != sorted(told):
            raise ValueError(f"returns: agent_type {part.agent_type!r} has {name} {estimate}, no figure in an interval")
        if name == "wrong" and not (told[0] >= 0 and told[-1] <= 1):
            raise ValueError(f"returns: agent_type {part.agent_type!r} has wrong {estimate}, not shares of 0 to 1")


def _amount(whose: str, name: str, value: float) -> None:
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(f"returns: {name} of {whose} is {value}, not a figure of 0 or more")
