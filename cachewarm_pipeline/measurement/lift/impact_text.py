"""What was measured, as sentences for the page of `warming_impact`."""

from cachewarm_client.counters import WARMED_ARM

from cachewarm_pipeline.measurement.lift.measured_impact import NO_EFFECT, MeasuredImpact, PlainHitRate
from cachewarm_pipeline.number_format import plural


def lift_sentence(found: MeasuredImpact) -> str:
    """What warming added to the hit rate, or why that is not known."""
    total, warmed = found.impact.total, found.counts_of(WARMED_ARM)
    if total.lift is None:
        rate = f"{warmed.hits / warmed.lookups:.1%} of {warmed.lookups:,} lookups hit; " if warmed.lookups else ""
        return f"{rate}lift not known: {found.why}"
    known = total.low is not None and total.high is not None
    interval = f" ({_points(total.low)} to {_points(total.high)})" if known else ""
    days = plural(len(found.days), "day")
    why = f"; {found.why}" if found.why else ""
    return (
        f"warming adds {_points(total.lift)} points{interval} to the hit rate over {days}: "
        f"{total.warmed_hit_rate or 0:.1%} of {total.warmed_lookups:,} lookups hit, against "
        f"{total.holdout_hit_rate or 0:.1%} of {total.holdout_lookups:,} holdout lookups in a cold cache filled by all "
        f"users{why}"
    )


def before_after_sentence(before: PlainHitRate, after: PlainHitRate) -> str:
    """The plain hit rates before and after warming, and why their difference is not the effect of warming."""
    rates = [
        f"{when} {plain.hit_rate:.1%}" if plain.hit_rate is not None else f"{when} not known ({plain.why})"
        for when, plain in (("before", before), ("after", after))
    ]
    return f"{', '.join(rates)}: {NO_EFFECT}"


def forecast_sentence(found: MeasuredImpact) -> str:
    """How far the hit rate was from the forecast, and on how many days the lift's interval contains the forecast."""
    off = [row.off for row in found.compared if row.off is not None]
    if not off:
        return "no day has both a forecast and lookups"
    inside = [row.inside for row in found.compared if row.inside is not None]
    days = plural(len(off), "day")
    error = f"the hit rate was {_points(sum(off) / len(off))} points off the forecast, as the mean of {days}"
    if not inside:
        return error
    return f"{error}; the forecast lift is inside the interval on {sum(inside)} of {len(inside)} days"


def _points(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:+.1f}"
