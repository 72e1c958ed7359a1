"""What was certified about a match rule: plain data, published with the rule and shown with its hits."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Certificate:
    """``threshold`` None: nothing could be certified, so only exact hits may be served.

    ``hits``, ``wrong``: of the certifying part at the threshold (at the first tested one where none was certified);
    ``upper``: Clopper-Pearson upper bound of the wrong-hit rate at confidence 1 - delta, 1.0 without hits.
    """

    alpha: float
    delta: float
    threshold: float | None
    hits: int
    wrong: int
    upper: float
    queries: int
    tested: int
