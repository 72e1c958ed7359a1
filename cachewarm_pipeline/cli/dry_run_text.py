"""What a run would pay, for a person: the lines of a dry run."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from cachewarm_pipeline.models.usage_prices import EMBEDDING, GENERATION, JUDGING

_STEPS = {
    EMBEDDING: ("embedding", "texts that have no vector yet"),
    GENERATION: ("writing", "bases that nothing is written for yet"),
    JUDGING: ("judging", "pairs of answers without a verdict yet"),
}

_CAPS = {GENERATION: "CACHEWARM_LLM_MAX_USD", JUDGING: "CACHEWARM_JUDGE_MAX_USD"}


def planned_lines(planned: Mapping[str, Any]) -> list[str]:
    """Total first, then each step that costs something."""
    paid = {step: planned[step] for step in _STEPS if planned[step]["tokens_at_most"]}
    free = planned[EMBEDDING]
    lines = []
    if planned["local"]:
        paid.pop(EMBEDDING, None)
        if free["number"]:
            lines = [f"             embedding {free['number']:,} new texts with {free['model']}: free, on this machine"]
    if not paid:
        return ["  would cost $0: no paid model has anything to do", *lines]
    lines = [
        f"  would cost about {dollars(planned['usd'])}, at most {dollars(planned['usd_at_most'])}; "
        f"prices of {planned['prices_as_of']}",
        *lines,
    ]
    if planned["may_reach_max_usd"]:
        lines.append(
            f"             CACHEWARM_MAX_USD={planned['max_usd']:g} may stop it before all is done: bases then wait "
            "for a later run, pairs are held different, and with texts left to embed nothing is published"
        )
    for step, found in paid.items():
        verb, what = _STEPS[step]
        lines.append(
            f"             {verb} {found['number']:,} {what} ({found['model']}): about {found['tokens']:,} tokens"
            f"{_usd(found)}"
        )
        if found["capped"]:
            lines.append(f"             {' ' * len(verb)} no more than that: {_CAPS[step]} stops it")
    if planned["stand_in"]:
        lines.append(
            f"             planned with the local model {planned['planned_with']}, as not every text has a stored "
            "vector: figures may differ"
        )
    return lines


def counts_line(idle_days: int, counted: date | None, day: date) -> str | None:
    """What a plan of ``day`` may not know of entries that earn nothing: None where it knows what a run would, or where
    nothing leaves. ``counted``: the newest day whose counts are stored, None where no reader counts."""
    if not idle_days or counted is None or counted >= day:
        return None
    return (
        f"  counts of readers are stored up to {counted}: with those that are in Redis alone, a run may leave out more "
        "entries that earned nothing"
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
