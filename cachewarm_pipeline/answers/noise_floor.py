"""The judge's noise floor: how often it calls two answers to the very same prompt, given within a day, different.

Such answers are right or wrong alike, so a wrong-hit rate below the floor cannot be measured. It is shown beside every
wrong-hit rate. No number is corrected by it, and no gate.
"""

from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from cachewarm_pipeline.storage.datasets import DatasetStore


@dataclass(frozen=True)
class NoiseFloors:
    """The noise floor of each agent_type and of all together; none where no two near answers are known."""

    by_agent_type: dict[str, float] = field(default_factory=dict)
    pooled: float | None = None
    """Over the pairs of all agent types."""

    def sentence(self, wrong_rate: float | None = None, hits: str = "semantic hits") -> str:
        """What the pooled floor says about a rate of wrong ``hits``; empty where it is not known."""
        if self.pooled is None:
            return ""
        known = (
            f"Of two answers to the very same prompt, given within a day, the judge calls {_percent(self.pooled)} "
            "different."
        )
        if not wrong_rate or not self.pooled:
            return known
        if self.pooled >= wrong_rate:
            return f"{known} So all of the {_percent(wrong_rate)} wrong {hits} may be wording."
        points = _percent(self.pooled)[:-1]
        return f"{known} So up to about {points} points of the {_percent(wrong_rate)} wrong {hits} may be wording."

    def above(self, target: float, judge: str) -> dict[str, str]:
        """For each agent_type whose floor is above the target: that, and what to do. ``judge``: its name."""
        stronger = "" if judge == "llm" else "set CACHEWARM_JUDGE=llm, or "
        return {
            agent_type: f"the judge calls {_percent(floor)} of reworded answers different, more than the target of "
            f"{_percent(target)}: {stronger}raise CACHEWARM_MAX_WRONG_HIT_RATE"
            for agent_type, floor in self.by_agent_type.items()
            if floor > target
        }


def noise_floors(judge_noise: pa.Table) -> NoiseFloors:
    """The floors of a JUDGE_NOISE table."""
    rows = judge_noise.select(["agent_type", "near_pairs", "near_called_different"]).to_pylist()
    known = {row["agent_type"]: row for row in rows if row["near_called_different"] is not None}
    pairs = sum(row["near_pairs"] for row in known.values())
    different = sum(row["near_pairs"] * row["near_called_different"] for row in known.values())
    floors = {agent_type: row["near_called_different"] for agent_type, row in known.items()}
    return NoiseFloors(floors, different / pairs if pairs else None)


def stored_noise(datasets: "DatasetStore", day: date) -> NoiseFloors:
    """The floors as stored for the day; none for a day of a version that did not measure them."""
    return noise_floors(datasets.read("judge_noise", day)) if datasets.exists("judge_noise", day) else NoiseFloors()


def _percent(share: float) -> str:
    """Without trailing zeros: 12%, 4.5%."""
    return f"{100 * share:.1f}".removesuffix(".0") + "%"
