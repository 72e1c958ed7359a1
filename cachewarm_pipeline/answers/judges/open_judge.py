"""Opens the judge that the settings name."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from cachewarm_pipeline.models.rate_limiter import rate_limiter_of
from cachewarm_pipeline.models.usage_prices import JUDGING
from cachewarm_pipeline.ports import Judge, Ports

if TYPE_CHECKING:
    from cachewarm_pipeline.answers.judges.local import LocalJudge


def open_judge(ports: Ports, progress: Callable[[str], object]) -> Judge:
    """The judge that CACHEWARM_JUDGE names.

    ``progress`` gets a sentence now and then. All judges of a run share one spend cap (``ports.judge_budget``).
    Raises ConfigurationError if the `llm` judge has no key, and every error of opening the embedder.
    """
    settings = ports.settings
    if settings.judge == "exact":
        from cachewarm_pipeline.answers.judges.exact_match import ExactJudge

        return ExactJudge()
    local = open_local_judge(ports, progress)
    if settings.judge == "local":
        return local
    from cachewarm_pipeline.answers.judges.judge_question import JudgeModel
    from cachewarm_pipeline.answers.judges.llm import LlmJudge
    from cachewarm_pipeline.answers.judges.response_vectors import response_vectors
    from cachewarm_pipeline.answers.judges.verdict_store import VerdictStore

    model = JudgeModel(
        settings.judge_model,
        api_key=settings.api_key,
        base_url=settings.openai_base_url,
        timeout=settings.judge_timeout_seconds,
        max_retries=settings.judge_max_retries,
        rate_limiter=rate_limiter_of(settings),
        meter=ports.meter(
            JUDGING,
            settings.judge_model,
            settings.judge_usd_per_million_prompt_tokens,
            settings.judge_usd_per_million_completion_tokens,
        ),
    )
    return LlmJudge(
        local,
        response_vectors(ports.embedder, ports.vectors, progress, local.usage),
        progress,
        model=model,
        verdicts=VerdictStore(ports.folder("verdicts"), model.id),
        spend=ports.judge_budget,
        concurrency=settings.judge_concurrency,
    )


def open_local_judge(ports: Ports, progress: Callable[[str], object]) -> "LocalJudge":
    """The judge on this machine: the default, and what the `llm` judge relies on where it does not ask."""
    from cachewarm_pipeline.answers.judges.answer_words_store import AnswerWordsStore
    from cachewarm_pipeline.answers.judges.local import LocalJudge

    return LocalJudge(ports.embedder, ports.vectors, AnswerWordsStore(ports.folder("answer_words")), progress)
