"""What an asset's page shows about the model that wrote variants or answers."""

from typing import Any

from cachewarm_pipeline.ports import Llm

NO_LLM = (
    "no variants are written: CACHEWARM_LLM=openai asks a model (OPENAI_API_KEY, OPENAI_BASE_URL); `recorded` takes "
    "the recorded variants of the sample's base queries, which is the default for the sample"
)


def llm_metadata(llm: Llm) -> dict[str, Any]:
    """The writer, its model, and its cost; and the number of bases, or of questions to answer, by outcome."""
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
