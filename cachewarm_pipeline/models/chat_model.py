"""A chat model on a paid, OpenAI-compatible server that answers with JSON of a strict schema.

Here: the request, how its reply is read, what it took (usage), and one line for each fault. What is asked, and who asks
it, stays with the caller: ``answers.judges.judge_question`` and ``candidates.variant_writers.writer_question``.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from cachewarm_client.embedders.openai_server import Remediation
from cachewarm_client.text import sha256_hex

from cachewarm_pipeline.errors import CachewarmError
from cachewarm_pipeline.models.chat_completion import REFUSAL, read_completion
from cachewarm_pipeline.models.paid_server import PaidServer
from cachewarm_pipeline.models.rate_limiter import RateLimiter
from cachewarm_pipeline.models.unanswered_request_retries import UnansweredAttempts

if TYPE_CHECKING:
    from cachewarm_pipeline.models.budgets import Meter

ASKS = 2
"""How often a question is asked. A model that breaks the schema once may keep it the next time; one that breaks it
twice does not know it."""

_FRAME_TOKENS = 256
"""Upper bound of the tokens that a server adds to the texts: the schema, roles and markers."""

_Value = TypeVar("_Value")

Parse = Callable[[object], tuple[_Value | None, str]]
"""Reads the JSON that a model answered with: the value and "", or None and what is wrong with it."""


def strict_schema(name: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    """``json_schema`` of a response format: an object with exactly these properties."""
    return {
        "name": name,
        "strict": True,
        "schema": {
            "type": "object",
            "properties": dict(properties),
            "required": list(properties),
            "additionalProperties": False,
        },
    }


def question_version(instructions: str, schema: Mapping[str, Any]) -> str:
    """8 hex characters that change with any word of a question, so that no stored reply answers another question."""
    return sha256_hex(instructions, json.dumps(schema, sort_keys=True))[:8]


def json_message(data: object) -> str:
    """The JSON of a user message. A lone surrogate, which UTF-8 cannot carry, becomes "?"."""
    return json.dumps(data, ensure_ascii=False).encode("utf-8", "replace").decode()


@dataclass(frozen=True)
class ChatRequest:
    """One question to a chat model."""

    instructions: str
    """The system message."""
    message: str
    """The user message."""
    schema: Mapping[str, Any]
    """See ``strict_schema``."""
    temperature: float
    max_completion_tokens: int

    @property
    def most_tokens(self) -> tuple[int, int]:
        """Upper bound of the (prompt, completion) tokens of one attempt: a token is at least one byte of UTF-8."""
        return len((self.instructions + self.message).encode()) + _FRAME_TOKENS, self.max_completion_tokens

    def body(self, model: str) -> dict[str, Any]:
        """The body of ``POST /chat/completions``, the same in a batch."""
        return {
            "model": model,
            "messages": [
                {"role": "system", "content": self.instructions},
                {"role": "user", "content": self.message},
            ],
            "response_format": {"type": "json_schema", "json_schema": self.schema},
            "temperature": self.temperature,
            "max_completion_tokens": self.max_completion_tokens,
        }


@dataclass(frozen=True)
class ChatReply(Generic[_Value]):
    """The reply to one question, with the tokens of all asks and of all attempts without an answer."""

    value: _Value | None
    """What the model answered; None where ``wrong`` names what came instead."""
    wrong: str
    text: str
    """The text of the last answer, for messages."""
    prompt_tokens: int
    completion_tokens: int
    lost: tuple[int, int] = (0, 0)
    """Prompt and completion tokens of attempts without an answer, included in the totals."""


def read_reply(content: object, parse: Parse[_Value], most: tuple[int, int]) -> ChatReply[_Value]:
    """The reply in a chat completion, given as bytes or as JSON. Never raises. ``most``: the tokens to assume where the
    server reports none."""
    completion = read_completion(content)
    value, wrong = (None, completion.wrong) if completion.wrong else parse(completion.value)
    return ChatReply(value, wrong, completion.text, *(completion.tokens or most))


@dataclass(frozen=True)
class ChatRole:
    """What a chat model is used for: this is in its messages and errors."""

    name: str
    """For messages about the server: ``judge``."""
    user: str
    """Who needs the key, for the message that asks for it."""
    error: type[CachewarmError]
    """What is raised where the server cannot be used."""
    remediation: Remediation
    refusal_codes: tuple[str, ...] = ()
    """Codes of an HTTP 400 that is about one text, not about the form of the request: it counts as a refusal."""


class ChatModel:
    """A model on its server. Safe to use from several threads; the client is made on first use. Subclasses set
    ``role``.

    ``timeout`` is in seconds for each attempt. ``meter`` notes what each answer took. Raises ConfigurationError without
    a key or with an unusable base URL.
    """

    role: ClassVar[ChatRole]

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
            user=self.role.user,
            key=api_key,
            base_url=base_url,
            timeout=timeout,
            max_retries=max_retries,
            remediation=self.role.remediation,
            rate_limiter=rate_limiter,
        )

    @property
    def run_id(self) -> str:
        """The run that pays for the answers; empty without a meter."""
        return self._meter.run_id if self._meter else ""

    def complete(
        self,
        request: ChatRequest,
        parse: Parse[_Value],
        reserve_attempt: Callable[[int, int], None] | None = None,
    ) -> ChatReply[_Value]:
        """The reply to the request. It is asked up to ASKS times, until the answer is usable.

        ``reserve_attempt``: see ``UnansweredAttempts``; what it raises ends the request. Raises the role's error where
        the server cannot be used.
        """
        lost = UnansweredAttempts(request.most_tokens, self.note, reserve_attempt)
        prompt_tokens = completion_tokens = 0
        for _ in range(ASKS):
            reply = self._ask_once(request, parse, lost)
            prompt_tokens += reply.prompt_tokens
            completion_tokens += reply.completion_tokens
            if not reply.wrong:
                break
        prompt_lost, completion_lost = lost.tokens
        return replace(
            reply,
            prompt_tokens=prompt_tokens + prompt_lost,
            completion_tokens=completion_tokens + completion_lost,
            lost=lost.tokens,
        )

    def call(self, request: Callable[[Any], Any]) -> Any:
        """The raw answer to another call of the client; None where the server does not know the object (HTTP 404).

        Raises the role's error for any other fault.
        """
        import openai

        try:
            return request(self.server.client)
        except openai.NotFoundError:
            return None
        except openai.OpenAIError as error:
            raise self._fault(error) from None

    def note(self, prompt_tokens: int, completion_tokens: int, share: float = 1.0) -> None:
        """Note used tokens in the meter. ``share`` is the part of the price that is paid: 0.5 in a batch."""
        if self._meter:
            self._meter.note(prompt_tokens, completion_tokens, share)

    def write(self) -> None:
        """Store what the meter noted."""
        if self._meter:
            self._meter.write()

    def _ask_once(self, request: ChatRequest, parse: Parse[_Value], lost: UnansweredAttempts) -> ChatReply[_Value]:
        import openai

        try:
            # The raw answer: the client's types would guess at what a faulty server sends, and hide it.
            with self.server.asking(lost) as client:
                answer = client.chat.completions.with_raw_response.create(**request.body(self.name))
        except openai.BadRequestError as error:
            if error.code not in self.role.refusal_codes:
                raise self._fault(error) from None
            return ChatReply(None, REFUSAL, "", 0, 0)
        except openai.OpenAIError as error:
            raise self._fault(error) from None
        reply = read_reply(bytes(answer.content), parse, request.most_tokens)
        self.note(reply.prompt_tokens, reply.completion_tokens)
        return reply

    def _fault(self, error: Exception) -> CachewarmError:
        return self.role.error(self.server.explain(error, role=f"{self.role.name} "))
