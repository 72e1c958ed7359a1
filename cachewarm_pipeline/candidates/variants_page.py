"""What a page shows about the model that wrote variants or answers."""

from typing import Any

from cachewarm_pipeline.ports import Llm

NO_LLM = (
    "nothing writes variants: CACHEWARM_LLM=openai asks a model (OPENAI_API_KEY, OPENAI_BASE_URL), `recorded` takes "
    "what is recorded for the sample's base queries, which is the default for the sample"
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
