"""Opens the embedder that the settings choose."""

from typing import TYPE_CHECKING

from cachewarm_client.embedders.embedder import Embedder

from cachewarm_pipeline.models.rate_limiter import rate_limiter_of

if TYPE_CHECKING:
    from cachewarm_pipeline.models.budgets import Meter, RunBudget
    from cachewarm_pipeline.settings import Settings


def open_embedder(
    settings: "Settings", meter: "Meter | None" = None, run_budget: "RunBudget | None" = None
) -> Embedder:
    """The embedder that the settings choose. Its model or client is loaded on first use, so this is quick.

    A paid embedder notes its usage in ``meter`` and spends within ``run_budget``. Raises EmbeddedError where the
    embedded model is not installed, and ConfigurationError for a missing key.
    """
    if settings.embedder == "minilm":
        from cachewarm_client.embedders.minilm import MiniLMEmbedder

        return MiniLMEmbedder()
    from cachewarm_pipeline.models.openai_embedder import BudgetedOpenAIEmbedder

    return BudgetedOpenAIEmbedder(
        settings.embedding_model,
        api_key=settings.api_key,
        base_url=settings.openai_base_url,
        dimensions=settings.embedding_dimensions,
        usd_per_million_tokens=settings.embedding_usd_per_million_tokens,
        concurrency=settings.embedding_concurrency,
        timeout=settings.embedding_timeout_seconds,
        max_retries=settings.embedding_max_retries,
        rate_limiter=rate_limiter_of(settings),
        meter=meter,
        run_budget=run_budget,
    )
