"""The binomial tail and the Clopper-Pearson bounds made from it, on scipy.special.

scipy is imported inside the functions: it takes about 0.2 s, which no command that certifies nothing should pay.
"""

import math
from collections.abc import Sequence


def cdf(wrong: int, trials: int, rate: float) -> float:
    """P(X <= wrong) for X binomial(trials, rate). 0.0 for fewer than 0 ``wrong``, 1.0 from ``trials`` on.

    Raises ValueError for a negative number of trials or a rate outside [0, 1].
    """
    from scipy.special import bdtr

    if trials < 0 or not 0 <= rate <= 1:
        raise ValueError(f"binomial of {trials} trials at rate {rate}")
    if wrong < 0:
        return 0.0
    if wrong >= trials:
        return 1.0
    return float(bdtr(wrong, trials, rate))


def upper_bound(wrong: int, trials: int, delta: float) -> float:
    """The one-sided Clopper-Pearson upper bound of a rate: the rate at which ``wrong`` or fewer of ``trials`` have
    probability ``delta``. 1.0 without trials.

    It is the 1 - delta quantile of Beta(wrong + 1, trials - wrong). Raises ValueError for a delta outside (0, 1).
    """
    from scipy.special import betainccinv

    if not 0 < delta < 1:
        raise ValueError(f"delta must lie between 0 and 1, not {delta}")
    return 1.0 if wrong >= trials else float(betainccinv(wrong + 1, trials - wrong, delta))


def lower_bound(wrong: int, trials: int, delta: float) -> float:
    """The one-sided Clopper-Pearson lower bound of a rate. 0.0 without trials. Raises ValueError as ``upper_bound``."""
    return 0.0 if trials == 0 else 1.0 - upper_bound(trials - wrong, trials, delta)


def fewest_trials(alpha: float, delta: float) -> int:
    """The fewest trials, none of them wrong, that certify a rate of at most ``alpha``: at delta 5% these are 59 for 5%,
    149 for 2% and 299 for 1%."""
    return math.ceil(math.log(delta) / math.log1p(-alpha))


def effective_bounds(weights: Sequence[int], wrong: Sequence[int], delta: float) -> tuple[float, float]:
    """(lower, upper) bounds of a wrong rate whose trials come in clusters; each bound alone has confidence 1 - delta.

    ``weights``: judged answers of each distinct query; ``wrong``: how many of these are wrong. All answers of one query
    rest on one decision, so they are not independent trials. They are assumed to be right or wrong together, the worst
    case: then they are worth (sum w)^2 / sum w^2 independent trials (Kish). Clopper-Pearson is applied to that
    effective number of trials at the observed rate (Korn and Graubard 1998), rounded to whole numbers on the cautious
    side. Without trials: (0.0, 1.0). Assumes that distinct queries are independent, and that those not judged are
    neither heavier nor more often wrong than those judged.

    Raises ValueError where not 0 <= wrong <= weight.
    """
    if len(weights) != len(wrong) or any(not 0 <= x <= w for w, x in zip(weights, wrong, strict=False)):
        raise ValueError("effective_bounds: needs 0 <= wrong <= weight, one of each per query")
    total, bad, squares = sum(weights), sum(wrong), sum(w * w for w in weights)
    if total == 0:
        return 0.0, 1.0
    # trials = total^2 / squares and wrong trials = bad / total * trials: whole numbers over the same divisor, so that
    # nothing is rounded before the division.
    upper = upper_bound(-(-bad * total // squares), total * total // squares, delta)
    lower = lower_bound(bad * total // squares, -(-total * total // squares), delta)
    return lower, upper
