"""Opens the writer that the settings choose, and reads what its batches have reserved."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from cachewarm_pipeline.models.rate_limiter import rate_limiter_of
from cachewarm_pipeline.models.usage_prices import GENERATION
from cachewarm_pipeline.ports import Llm, Ports

if TYPE_CHECKING:
    from cachewarm_pipeline.models.budgets import ModelCost


def open_writer(ports: Ports, progress: Callable[[str], object], *, batch: bool | None = None) -> Llm | None:
    """The writer that the settings choose; None for none. Without a setting it is `recorded` for the sample, else none.

    ``batch`` overrides the setting, unless it is None. ``progress`` gets a sentence now and then. The writer spends
    within the run's ``llm_budget``. Raises ConfigurationError without a key or with an unusable base URL, and LlmError
    for damaged recorded variants.
    """
    settings = ports.settings
    kind = settings.llm or ("recorded" if settings.is_sample else "none")
    if kind == "none":
        return None
    if kind == "recorded":
        from cachewarm_pipeline.candidates.variant_writers.recorded_writer import RecordedWriter

        return RecordedWriter()
    from cachewarm_pipeline.candidates.variant_writers.openai_writer import OpenAIWriter
    from cachewarm_pipeline.candidates.variant_writers.writer_question import WriterModel

    model = WriterModel(
        settings.llm_model,
        api_key=settings.api_key,
        base_url=settings.openai_base_url,
        timeout=settings.llm_timeout_seconds,
        max_retries=settings.llm_max_retries,
        rate_limiter=rate_limiter_of(settings),
        meter=ports.meter(
            GENERATION,
            settings.llm_model,
            settings.llm_usd_per_million_prompt_tokens,
            settings.llm_usd_per_million_completion_tokens,
        ),
    )
    return OpenAIWriter(
        model,
        ports.folder("written"),
        ports.llm_budget,
        progress,
        n=settings.variants_per_base,
        temperature=settings.llm_temperature,
        concurrency=settings.llm_concurrency,
        batch=settings.llm_batch if batch is None else batch,
    )


def batch_reservations(ports: Ports, run_id: str) -> list["ModelCost"]:
    """What a run has reserved for its batches, in all its processes: one cost for each kind of question.

    Raises DatasetError.
    """
    settings = ports.settings
    if settings.llm != "openai":
        return []
    from cachewarm_pipeline.candidates.variant_writers.openai_batches import reserved_by_run
    from cachewarm_pipeline.candidates.variant_writers.writer_question import answer_question, variants_question
    from cachewarm_pipeline.candidates.variant_writers.written_text_store import written_texts_of

    questions = variants_question(settings.variants_per_base, settings.llm_temperature), answer_question()
    folder = ports.folder("written")
    return [reserved_by_run(written_texts_of(folder, settings.llm_model, question), run_id) for question in questions]
