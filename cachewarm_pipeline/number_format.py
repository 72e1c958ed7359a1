"""Dollars and durations as a person reads them."""


def usd(amount: float | None) -> str:
    """With cents, and with more digits where cents would hide what there is."""
    if amount is None:
        return "-"
    size = abs(amount)
    if 0 < size < 0.0001:
        text = "under $0.0001"
        return text if amount > 0 else f"-({text})"
    text = f"${size:,.2f}" if size >= 0.1 or not size else f"${size:.4f}"
    return text if amount >= 0 else f"-{text}"


def span(low: float | None, high: float | None) -> str:
    """An interval, empty where an end is not known."""
    return "" if low is None or high is None else f"{usd(low)} to {usd(high)}"


def duration(days: float | None) -> str:
    """``days`` in the unit that fits; None: never."""
    if days is None:
        return "never"
    for unit, number, least in (("days", days, 0.1), ("hours", days * 24, 1.0)):
        if number >= least:
            return f"{number:,.1f} {unit}"
    return f"{max(1, round(days * 24 * 60))} min"
