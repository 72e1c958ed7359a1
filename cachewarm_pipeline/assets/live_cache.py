"""What readers open: the end of the lineage. External, since the application is what uses it."""

import dagster as dg

from cachewarm_pipeline.lineage.asset_page import CACHE, OWNERS

_COLUMNS = {
    "entry_id": ("text", "hash of canonical prompt and agent_type"),
    "prompt": ("text", "original spelling"),
    "response": ("text", "what is served; a withdrawn entry has none"),
    "prompt_vector": ("float32 bytes", "of the prompt, cosine distance"),
    "agent_type": ("tag", "a lookup only matches entries of its own"),
    "source": ("tag", "golden, query_log or synthetic"),
    "quality_score": ("0..1", "of the answer"),
    "answer_group": ("text", "entries of equivalent answers share it"),
    "inserted_at": ("seconds", "when it was written"),
    "updated_at": ("seconds", "when it was written last"),
    "metadata": ("JSON", "source, generation, lineage of the answer"),
}

live_cache = dg.AssetSpec(
    "live_cache",
    deps=["cache_entries"],
    description="What readers open: the alias in Redis that points to the live generation, and the entries that the "
    "application has stored itself. The hit-rate sensor records hit rate and look-ups here. A run publishes to it "
    "through `cache_entries`; `cachewarm rollback` goes back.",
    group_name=CACHE,
    owners=OWNERS,
    kinds={"redis", "redisvl"},
    metadata={
        "dagster/column_schema": dg.TableSchema(
            columns=[dg.TableColumn(name, kind, description=what) for name, (kind, what) in _COLUMNS.items()]
        )
    },
)
