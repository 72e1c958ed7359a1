"""What a run would pay, as the lines that a dry run prints."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from cachewarm_pipeline.models.usage_prices import EMBEDDING, GENERATION, JUDGING

_STEPS = {
    EMBEDDING: ("embedding", "texts that have no vector yet"),
    GENERATION: ("writing", "base queries without variants yet"),
    JUDGING: ("judging", "pairs of answers without a verdict yet"),
}

_CAPS = {GENERATION: "CACHEWARM_LLM_MAX_USD", JUDGING: "CACHEWARM_JUDGE_MAX_USD"}


def planned_lines(planned: Mapping[str, Any]) -> list[str]:
    """The lines: the total first, then each step that costs something."""
    paid = {step: planned[step] for step in _STEPS if planned[step]["tokens_at_most"]}
    free = planned[EMBEDDING]
    lines = []
    if planned["local"]:
        paid.pop(EMBEDDING, None)
        if free["number"]:
            lines = [f"             embedding {free['number']:,} new texts with {free['model']}: free, on this machine"]
    if not paid:
        return ["  would cost $0: no paid model would be used", *lines]
    lines = [
        f"  would cost about {dollars(planned['usd'])}, at most {dollars(planned['usd_at_most'])}; "
        f"prices of {planned['prices_as_of']}",
        *lines,
    ]
    if planned["may_reach_max_usd"]:
        lines.append(
            f"             CACHEWARM_MAX_USD={planned['max_usd']:g} may stop it early: base queries then wait "
            "for a later run, unjudged pairs count as different, and if texts are left to embed nothing is published"
        )
    for step, found in paid.items():
        verb, what = _STEPS[step]
        lines.append(
            f"             {verb} {found['number']:,} {what} ({found['model']}): about {found['tokens']:,} tokens"
            f"{_usd(found)}"
        )
        if found["capped"]:
            lines.append(f"             {' ' * len(verb)} not more: {_CAPS[step]} is the cap")
    if planned["stand_in"]:
        lines.append(
            f"             planned with the local model {planned['planned_with']}, because some texts have no stored "
            "vector: figures may differ"
        )
    return lines


def counts_line(idle_days: int, counted: date | None, day: date) -> str | None:
    """A note that the plan of ``day`` lacks newer counts of hits, which a run would have; None if it lacks none, or if
    idle entries are kept. ``counted``: the newest day whose counts are stored; None if no reader counts."""
    if not idle_days or counted is None or counted >= day:
        return None
    return (
        f"  reader counts are stored up to {counted}: with the newer ones in Redis, a run may exclude more "
        "entries without hits"
    )


def dollars(usd: float) -> str:
    return "under $0.0001" if 0 < usd < 0.00005 else f"${usd:.4f}"


def _priced(found: Mapping[str, Any]) -> bool:
    return bool(found["usd_per_million_prompt_tokens"] or found["usd_per_million_completion_tokens"])


def _usd(found: Mapping[str, Any]) -> str:
    if not _priced(found):
        return "; no price is set"
    half = f" (a batch: {found['share']:.0%} of the price)" if found["share"] != 1 else ""
    most = f"at most {found['tokens_at_most']:,} and {dollars(found['usd_at_most'])}"
    return f" and {dollars(found['usd'])}, {most}{half}"
