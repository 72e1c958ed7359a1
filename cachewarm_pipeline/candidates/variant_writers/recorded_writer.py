"""The `recorded` writer: completions of a model, recorded for the sample's base queries, so that the default needs no
API key.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from cachewarm_client.text import canonical, cut

from cachewarm_pipeline.errors import LlmError
from cachewarm_pipeline.ports import BaseQuery, LlmUsage

RECORDED = Path(__file__).parents[2] / "embedded" / "recorded_variants.json"

_SHOWN_CHARS = 80


class RecordedWriter:
    """The ``Llm`` port over a JSON file.

    The file is {"model", "prompt_version", "temperature", "note", "variants": {agent_type: {base prompt: [variant,
    ...]}}}. Prompts are found by their canonical form. Raises LlmError for a file of another form.
    """

    name = "recorded"

    def __init__(self, path: Path = RECORDED) -> None:
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            self.model = str(data["model"])
            self.prompt_version = str(data["prompt_version"])
            self.temperature = float(data["temperature"])
            self._variants = {
                (agent_type, canonical(cut(prompt))): _texts(variants)
                for agent_type, prompts in data["variants"].items()
                for prompt, variants in prompts.items()
            }
        except OSError as error:
            raise LlmError(f"cannot read the recorded variants in {path}: {error.strerror}") from None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise LlmError(f"{path} has no recorded variants: {type(error).__name__}: {error}") from None
        self.usage = LlmUsage()
        self._counted: set[tuple[str, str]] = set()

    def knows(self, base: BaseQuery) -> bool:
        """Whether the variants of the base are recorded."""
        return _key(base) in self._variants

    def variants(self, bases: Sequence[BaseQuery], *, ask: bool = True) -> list[list[str] | None]:
        """The recorded variants of each base. For a base without any: raises LlmError; without ``ask``, None."""
        if not ask:
            return [list(self._variants[_key(base)]) if self.knows(base) else None for base in bases]
        for base in bases:
            if not self.knows(base):
                raise _not_recorded("base", base)
        self._counted |= {_key(base) for base in bases}
        self.usage.known = len(self._counted)
        return [list(self._variants[_key(base)]) for base in bases]

    def answers(self, questions: Sequence[BaseQuery], *, ask: bool = True) -> list[str | None]:
        """None for each question: no answers are recorded. Raises LlmError with ``ask``, if there are questions."""
        if ask and questions:
            raise _not_recorded("an answer to", questions[0])
        return [None] * len(questions)


def _key(base: BaseQuery) -> tuple[str, str]:
    return base.agent_type, canonical(cut(base.prompt))


def _not_recorded(what: str, base: BaseQuery) -> LlmError:
    shown = " ".join(base.prompt.split())
    shown = shown if len(shown) <= _SHOWN_CHARS else f"{shown[: _SHOWN_CHARS - 3]}..."
    return LlmError(
        f"{what} {shown!r} of {base.agent_type!r} is not recorded; set CACHEWARM_LLM=openai and OPENAI_API_KEY to "
        "have it written, or CACHEWARM_LLM=none"
    )


def _texts(value: object) -> list[str]:
    if not isinstance(value, list) or not value or not all(isinstance(text, str) for text in value):
        raise TypeError("variants are a list of strings")
    return value
