"""The kept variants as candidate rows, with their provenance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from cachewarm_client.text import entry_id

from cachewarm_pipeline.candidates.provenance import AnswerProvenance, dump, source_row_hash
from cachewarm_pipeline.candidates.variant_filter import Variant
from cachewarm_pipeline.storage.schemas import SYNTHETIC_VARIANTS, conform

QUALITY = 0.7
"""quality_score of a variant: over the plan's floor (0.6), and under a stable answer from the log (0.9), because no
user has been seen to ask in these words."""


@dataclass(frozen=True)
class WriterInfo:
    """The writer of the variants, for their provenance."""

    model: str
    recorded: bool
    prompt_version: str
    temperature: float


def variants_table(kept: Sequence[Variant], writer: WriterInfo, bases: Mapping[str, AnswerProvenance]) -> pa.Table:
    """The variants as SYNTHETIC_VARIANTS. Their demand is not known and is set to 0.

    ``bases``: for each base that is a candidate, by entry_id, what its answer depends on. A variant with the answer of
    its base depends on the same.
    """
    rows = [
        {
            "entry_id": entry_id(variant.prompt, variant.base.agent_type),
            "agent_type": variant.base.agent_type,
            "prompt": variant.prompt,
            "response": variant.response,
            "source": "synthetic",
            "quality_score": QUALITY,
            "demand": 0.0,
            "cost_usd": variant.cost_usd,
            "provenance": dump(_provenance(variant, writer, bases)),
            "base_id": variant.base.entry_id,
            "base_prompt": variant.base.prompt,
            "base_distance": variant.distance,
        }
        for variant in kept
    ]
    return conform("synthetic_variants", pa.Table.from_pylist(rows, schema=SYNTHETIC_VARIANTS))


def _provenance(variant: Variant, writer: WriterInfo, bases: Mapping[str, AnswerProvenance]) -> dict[str, Any]:
    own = AnswerProvenance(source_row_hash(variant.response), writer.model if variant.generated else None)
    depends = own if variant.generated else bases.get(variant.base.entry_id, own)
    return {
        "depends": depends.as_dict(),
        "base_id": variant.base.entry_id,
        "base_origin": variant.base.origin,
        "model": writer.model,
        "recorded": writer.recorded,
        "prompt_version": writer.prompt_version,
        "temperature": writer.temperature,
        "response": "generated" if variant.generated else "base",
    }
