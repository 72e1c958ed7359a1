"""Reads a chat completion from the server's raw answer, so that a faulty answer is named as what it is."""

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
    """A completion as read."""

    value: object
    """The JSON that the model answered with; None where ``wrong`` names what came instead."""
    wrong: str
    text: str
    """What the model or the server wrote, for messages."""
    tokens: tuple[int, int] | None
    """Prompt and completion tokens; None where the server does not report them."""


def read_completion(content: Any) -> Completion:
    """The completion in ``content``, the bytes of an answer or their JSON. Never raises."""
    try:
        answer = json.loads(content) if isinstance(content, bytes) else content
        choices, tokens = answer["choices"], _reported_tokens(answer.get("usage"))
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


def _reported_tokens(usage: object) -> tuple[int, int] | None:
    if not isinstance(usage, dict):
        return None
    prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if isinstance(prompt, int) and isinstance(completion, int) and prompt >= 0 and completion >= 0:
        return prompt, completion
    return None
