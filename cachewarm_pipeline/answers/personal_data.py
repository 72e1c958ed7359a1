"""Personal data and secrets in a query and its response. Queries that have any are excluded and never warmed."""

from cachewarm_client.personal_data import find_personal_data


def personal_data(prompt: str, response: str = "") -> str:
    """The kinds of personal data and secrets in a query and its response, in words; empty if there are none."""
    found = ((place, find_personal_data(text)) for place, text in (("prompt", prompt), ("response", response)))
    return "; ".join(f"{', '.join(kinds)} in the {place}" for place, kinds in found if kinds)
