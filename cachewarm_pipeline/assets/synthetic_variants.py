"""Other wordings of base queries, written by a model: of the configured ones, and with an API also of the best golden
answers and the most asked queries. What drifted, what adds nothing and what is nearer to another question is left out.
A variant has its base's verified answer."""

from typing import Any

import dagster as dg

from cachewarm_pipeline.candidates.variant_service import variants_of_day
from cachewarm_pipeline.lineage.asset_page import (
    CANDIDATES,
    OWNERS,
    PAID,
    judge_metadata,
    paid_days,
    record,
    table_metadata,
)
from cachewarm_pipeline.lineage.partitions import daily, one_run
from cachewarm_pipeline.ports import Llm
from cachewarm_pipeline.workspace.workspace import Workspace

NO_LLM = (
    "nothing writes variants: CACHEWARM_LLM=openai asks a model (OPENAI_API_KEY, OPENAI_BASE_URL), `recorded` takes "
    "what is recorded for the sample's base queries, which is the default for the sample"
)


@dg.asset(
    deps=["golden_candidates", "frequent_queries"],
    partitions_def=daily,
    backfill_policy=one_run,
    group_name=CANDIDATES,
    owners=OWNERS,
    kinds={"openai", "parquet"},
    pool=PAID,
    description=__doc__,
)
def synthetic_variants(context: dg.AssetExecutionContext, workspace: dg.ResourceParam[Workspace]) -> None:
    datasets = workspace.datasets
    usd_per_million_tokens = workspace.embedder.info.usd_per_million_tokens
    for day in paid_days(context, workspace):
        judge = workspace.judge(context.log.info)
        golden, frequent = (datasets.read(name, day) for name in ("golden_candidates", "frequent_queries"))
        found = variants_of_day(workspace, golden, frequent, judge, context.log.info)
        if found.fault:
            context.log.warning(f"{day}: variants are missing: {found.fault}")
        datasets.write("synthetic_variants", day, found.table)
        record(
            context,
            day,
            table_metadata(
                found.table,
                found.left_out,
                ("base_prompt", "prompt", "agent_type", "base_distance", "response"),
                **({"fault": found.fault} if found.fault else {}),
                **({"why_none": NO_LLM} if found.llm is None else llm_metadata(found.llm)),
                **{f"bases_{origin}": number for origin, number in found.bases.items()},
                tokens=found.tokens,
                usd=found.tokens * usd_per_million_tokens / 1e6,
                **judge_metadata(judge, usd_per_million_tokens),
            ),
            spent=workspace.ledger.usd(),
        )


def llm_metadata(llm: Llm) -> dict[str, Any]:
    """Who wrote, how, and what it cost; bases, and questions asked for an answer, by what became of them."""
    usage = llm.usage
    recorded = llm.name == "recorded"
    return {
        "llm": llm.name,
        "llm_model": llm.model,
        "recorded": recorded,
        "written_by": f"recorded completions of {llm.model}: no model was asked in this run" if recorded else llm.model,
        "prompt_version": llm.prompt_version,
        "temperature": llm.temperature,
        "generation_tokens": usage.prompt_tokens + usage.completion_tokens,
        "generation_usd": usage.usd,
        "written": usage.written,
        "known": usage.known,
        "pending": usage.pending,
        "over_cap": usage.over_cap,
        "failed": usage.failed,
    }
