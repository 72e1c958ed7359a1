"""What was certified about a match rule: plain data, published with the rule and shown with its hits."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Certificate:
    """The evidence of one fixed-sequence test on the certifying part of the labelled queries."""

    alpha: float
    """Target wrong-hit rate, 0 to 1."""
    delta: float
    """Probability that the true wrong-hit rate is above ``upper``."""
    threshold: float | None
    """The loosest certified threshold; None: nothing could be certified, so only exact hits may be served."""
    hits: int
    """Hits of the certifying part at the threshold; at the first tested one where none was certified."""
    wrong: int
    """Wrong ones of these hits."""
    upper: float
    """Clopper-Pearson upper bound of the wrong-hit rate at confidence 1 - delta; 1.0 without hits."""
    queries: int
    """Queries of the certifying part."""
    tested: int
    """Thresholds tested, from strict to loose."""
