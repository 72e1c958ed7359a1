"""Counted nouns in messages."""


def plural(number: int, singular: str) -> str:
    """``1 day``, ``2 days``, ``1,000 days``."""
    return f"{number:,} {singular}{'' if number == 1 else 's'}"
