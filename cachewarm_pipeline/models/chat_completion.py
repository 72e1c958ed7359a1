"""What a chat completion says, read from the server's raw answer: a wrong one is told, not guessed at."""

import json
from dataclasses import dataclass
from typing import Any

NO_COMPLETION = "something that is no chat completion"
NO_CHOICES = "no choices"
REFUSAL = "a refusal"
CUT = "an answer cut at the token limit"
OTHER_SCHEMA = "another answer than the schema's"


@dataclass(frozen=True)
class Completion:
    """``value``: the JSON that the model answered with; None where ``wrong`` says what there was instead."""

    value: object
    wrong: str
    text: str
    """What the model or the server said, for messages."""
    tokens: tuple[int, int] | None
    """Prompt and completion tokens; None where they are not reported."""


def read_completion(content: Any) -> Completion:
    """Of the bytes of an answer, or of their JSON. Never raises."""
    try:
        answer = json.loads(content) if isinstance(content, bytes) else content
        choices, tokens = answer["choices"], _tokens(answer.get("usage"))
        if not choices:
            return Completion(None, NO_CHOICES, "", tokens)
        message = choices[0]["message"]
        text, refusal, finish = message.get("content"), message.get("refusal"), choices[0].get("finish_reason")
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return Completion(
            None, NO_COMPLETION, content.decode("utf-8", "replace") if isinstance(content, bytes) else "", None
        )
    if refusal or finish == "content_filter":
        return Completion(None, REFUSAL, str(refusal or text or ""), tokens)
    if finish == "length":
        return Completion(None, CUT, str(text or ""), tokens)
    try:
        value = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        value = None
    return Completion(value, "" if value is not None else OTHER_SCHEMA, str(text or ""), tokens)


def _tokens(usage: object) -> tuple[int, int] | None:
    if not isinstance(usage, dict):
        return None
    prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if isinstance(prompt, int) and isinstance(completion, int) and prompt >= 0 and completion >= 0:
        return prompt, completion
    return None
