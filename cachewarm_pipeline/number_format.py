"""Counts, dollars and durations as a person reads them."""


def plural(number: int, one: str, many: str = "") -> str:
    """A count with its noun: "1 entry", "1,200 entries". ``many`` defaults to ``one`` with an s."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def usd(amount: float | None) -> str:
    """Dollars with cents, and with four digits after the point where cents would round the amount away."""
    if amount is None:
        return "-"
    size = abs(amount)
    if 0 < size < 0.0001:
        text = "under $0.0001"
        return text if amount > 0 else f"-({text})"
    text = f"${size:,.2f}" if size >= 0.1 or not size else f"${size:.4f}"
    return text if amount >= 0 else f"-{text}"


def span(low: float | None, high: float | None) -> str:
    """A dollar interval; empty where an end is unknown."""
    return "" if low is None or high is None else f"{usd(low)} to {usd(high)}"


def duration(days: float | None) -> str:
    """``days`` in the unit that fits; None means never."""
    if days is None:
        return "never"
    for unit, number, least in (("days", days, 0.1), ("hours", days * 24, 1.0)):
        if number >= least:
            return f"{number:,.1f} {unit}"
    return f"{max(1, round(days * 24 * 60))} min"
