"""The chat model that writes, on its server: one question at a time, and the raw calls that batches need."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cachewarm_client.embedders.openai_server import Remediation

from cachewarm_pipeline.candidates.variant_writers.writer_prompts import ASKS, WriterQuestion, WriterReply
from cachewarm_pipeline.errors import LlmError
from cachewarm_pipeline.models.chat_completion import REFUSAL
from cachewarm_pipeline.models.paid_server import PaidServer
from cachewarm_pipeline.models.rate_limiter import RateLimiter
from cachewarm_pipeline.models.unanswered_attempts import UnansweredAttempts
from cachewarm_pipeline.ports import BaseQuery

if TYPE_CHECKING:
    from cachewarm_pipeline.models.budgets import Meter

_ADVICE = Remediation(
    "CACHEWARM_LLM_MODEL",
    timeout="; see CACHEWARM_LLM_TIMEOUT_SECONDS",
    rate="; run again later, or lower CACHEWARM_LLM_CONCURRENCY",
    failed="; run again later: what was written until then is kept",
    refused="; set a CACHEWARM_LLM_MODEL that takes a temperature and response_format json_schema",
)

_FILTERED = ("content_filter", "content_policy_violation")
"""Codes of an HTTP 400 that is about one text, not about the request's form."""


class WriterModel:
    """Safe to call from several threads; the client is made on first use. ``timeout`` in seconds for each try.
    ``meter`` notes what each answer took.

    Raises ConfigurationError without a key or with a base URL that is none.
    """

    def __init__(
        self,
        name: str,
        *,
        api_key: str,
        base_url: str | None = None,
        timeout: float = 60.0,
        max_retries: int = 5,
        rate_limiter: RateLimiter | None = None,
        meter: "Meter | None" = None,
    ) -> None:
        self.name = name
        self._meter = meter
        self.server = PaidServer(
            name,
            user="CACHEWARM_LLM=openai",
            key=api_key,
            base_url=base_url,
            timeout=timeout,
            max_retries=max_retries,
            advice=_ADVICE,
            rate_limiter=rate_limiter,
        )

    @property
    def run_id(self) -> str:
        """The run that its answers are paid in; empty where nobody notes it."""
        return self._meter.run_id if self._meter else ""

    def ask(
        self, question: WriterQuestion, base: BaseQuery, again: Callable[[int, int], None] | None = None
    ) -> WriterReply:
        """What the model writes; asked once more where that is wrong. Tokens are of all asks, and of all tries without
        an answer; ``again``: see ``Lost``.

        Raises LlmError where the server cannot be used, and what ``again`` raises.
        """
        import openai

        most = question.most_tokens(base)
        lost = UnansweredAttempts(most, self._note, again)
        prompt_tokens = completion_tokens = 0
        reply = WriterReply(None, REFUSAL, 0, 0)
        for _ in range(ASKS):
            try:
                with self.server.asking(lost) as client:
                    answer = client.chat.completions.with_raw_response.create(**question.body(self.name, base))
            except openai.BadRequestError as error:
                if error.code not in _FILTERED:
                    raise self._fault(error) from None
                reply = WriterReply(None, REFUSAL, 0, 0)
            except openai.OpenAIError as error:
                raise self._fault(error) from None
            else:
                reply = question.read(bytes(answer.content), most)
                self.note(reply)
            prompt_tokens += reply.prompt_tokens
            completion_tokens += reply.completion_tokens
            if reply.texts is not None:
                break
        prompt_lost, completion_lost = lost.tokens
        return WriterReply(
            reply.texts, reply.wrong, prompt_tokens + prompt_lost, completion_tokens + completion_lost, lost.tokens
        )

    def note(self, reply: WriterReply, share: float = 1.0) -> None:
        """Into the meter; ``share`` of the price is paid."""
        self._note(reply.prompt_tokens, reply.completion_tokens, share)

    def _note(self, prompt_tokens: int, completion_tokens: int, share: float = 1.0) -> None:
        if self._meter:
            self._meter.note(prompt_tokens, completion_tokens, share)

    def write(self) -> None:
        """Stores what the meter noted."""
        if self._meter:
            self._meter.write()

    def call(self, request: Callable[[Any], Any]) -> Any:
        """The raw answer of the client's call; None where the server does not know what was asked for (404).

        Raises LlmError for any other fault.
        """
        import openai

        try:
            return request(self.server.client)
        except openai.NotFoundError:
            return None
        except openai.OpenAIError as error:
            raise self._fault(error) from None

    def _fault(self, error: Exception) -> LlmError:
        return LlmError(self.server.explain(error, role="writer "))
