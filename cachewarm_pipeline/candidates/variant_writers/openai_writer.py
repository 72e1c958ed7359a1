"""The `openai` writer: variants and answers from a chat model. No base is paid for twice, and the budget of the run is
never exceeded.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cachewarm_pipeline.candidates.variant_writers.openai_batches import Batches
from cachewarm_pipeline.candidates.variant_writers.writer_question import (
    WriterModel,
    WriterQuestion,
    answer_question,
    variants_question,
)
from cachewarm_pipeline.candidates.variant_writers.written_text_store import WrittenTexts, written_texts_of
from cachewarm_pipeline.models.budgets import ModelBudget, ModelCost, ask_within_budget
from cachewarm_pipeline.models.chat_model import ASKS, ChatReply
from cachewarm_pipeline.number_format import plural
from cachewarm_pipeline.ports import BaseQuery, LlmUsage

STORE_EVERY = 8
"""Answers stored at once. A killed run loses at most these and the requests under way: about a cent."""

_PROGRESS_EVERY = 50

_CAPS = "CACHEWARM_LLM_MAX_USD", "CACHEWARM_LLM_MAX_TOKENS"


@dataclass(frozen=True)
class WritingTask:
    """One kind of question, with the store and the batches of its texts."""

    what: str
    """What is written, for messages: ``variants``."""
    question: WriterQuestion
    texts: WrittenTexts
    batches: Batches


class OpenAIWriter:
    """The ``Llm`` port over an OpenAI-compatible server. It makes concurrent requests itself, but must be called from
    one thread at a time.

    A base for which the model wrote nothing usable in all its asks is counted in ``usage.failed``, and the next run
    asks for it again. With ``batch``, all bases are submitted as batches (see ``Batches``). A base in an unfinished
    batch is never asked for, with or without ``batch``.

    Each base counts once in ``usage``. The texts of a batch and their cost count in the run that collects it, but its
    budget was that of the run that submitted it.
    """

    name = "openai"

    def __init__(
        self,
        model: WriterModel,
        folder: str,
        budget: ModelBudget,
        progress: Callable[[str], object],
        *,
        n: int = 8,
        temperature: float = 0.8,
        concurrency: int = 8,
        batch: bool = False,
    ) -> None:
        """``folder``: URI of the folder of all written texts; ``n``: variants for each base."""
        self._model, self._folder, self._budget, self._progress = model, folder, budget, progress
        self._concurrency, self._batch = concurrency, batch
        self.model = model.name
        self.temperature = temperature
        self.usage = LlmUsage()
        self._variants = self._task("variants", variants_question(n, temperature))
        self._answers = self._task("answers", answer_question())
        self.prompt_version = self._variants.question.version
        self._counted: set[str] = set()

    def knows(self, base: BaseQuery) -> bool:
        return True

    def variants(self, bases: Sequence[BaseQuery], *, ask: bool = True) -> list[list[str] | None]:
        return self._write(self._variants, bases, ask)

    def answers(self, questions: Sequence[BaseQuery], *, ask: bool = True) -> list[str | None]:
        return [texts[0] if texts else None for texts in self._write(self._answers, questions, ask)]

    def _task(self, what: str, question: WriterQuestion) -> WritingTask:
        texts = written_texts_of(self._folder, self._model.name, question)
        batches = Batches(self._model, question, texts, self._budget, self.usage, self._progress)
        return WritingTask(what, question, texts, batches)

    def _write(self, task: WritingTask, bases: Sequence[BaseQuery], ask: bool) -> list[list[str] | None]:
        keys = [task.question.key(self.model, base) for base in bases]
        if ask:
            self._store_missing(task, keys, bases)
        stored = [task.texts.get(key) for key in keys]
        return [None if texts is None else list(texts) for texts in stored]

    def _store_missing(self, task: WritingTask, keys: Sequence[str], bases: Sequence[BaseQuery]) -> None:
        """Store the texts that are missing, as far as the server writes them and the budget allows. Count each base."""
        wanted: dict[str, BaseQuery] = {}
        for key, base in zip(keys, bases, strict=True):
            if key not in self._counted:
                wanted.setdefault(key, base)
        if wanted:
            # First, because it stores the texts of finished batches.
            task.batches.collect()
        unwritten = {key: base for key, base in wanted.items() if not self._count_if_settled(task, key)}
        if unwritten and self._batch:
            self._submit(task, unwritten)
        elif unwritten:
            self._ask(task, unwritten)

    def _count_if_settled(self, task: WritingTask, key: str) -> bool:
        """Whether this run must not ask for the key: it is written, failed or pending. Then it is also counted."""
        batches, usage = task.batches, self.usage
        if key in batches.written:
            usage.written += 1
        elif task.texts.get(key) is not None:
            usage.known += 1
        elif key in batches.failed:
            self._count_failure(batches.failed[key])
        elif key in batches.pending:
            usage.pending += 1
        else:
            return False
        self._counted.add(key)
        return True

    def _submit(self, task: WritingTask, unwritten: dict[str, BaseQuery]) -> None:
        task.batches.submit(unwritten)
        self._count_over_cap(
            task, {key: base for key, base in unwritten.items() if not self._count_if_settled(task, key)}
        )

    def _ask(self, task: WritingTask, unwritten: dict[str, BaseQuery]) -> None:
        """Ask for the bases in order, as far as the budget allows, and store what is written."""
        unstored: dict[str, list[str]] = {}
        done = 0

        def finished(key: str, reply: ChatReply[list[str]]) -> ModelCost:
            nonlocal done
            done += 1
            self._counted.add(key)
            cost = self._count(reply)
            if reply.value is not None:
                unstored[key] = reply.value
            if len(unstored) >= STORE_EVERY:
                task.texts.put(unstored)
                self._model.write()
                unstored.clear()
            if done % _PROGRESS_EVERY == 0:
                self._progress(
                    f"{self.model} wrote {task.what} for {done:,} of {plural(len(unwritten), 'base')}, "
                    f"${self.usage.usd:.2f} in this run"
                )
            return cost

        try:
            ask_within_budget(
                self._budget,
                unwritten,
                lambda base: self._model.complete(
                    task.question.request(base), task.question.parse, self._budget.attempt_reserver(*_CAPS)
                ),
                most=lambda base: self._most(task.question, base),
                finished=finished,
                concurrency=self._concurrency,
                name="writer",
            )
        finally:
            self._model.write()
            task.texts.put(unstored)
        self._count_over_cap(task, {key: base for key, base in unwritten.items() if key not in self._counted})
        failed = sum(self.usage.failed.values())
        if failed:
            kinds = ", ".join(f"{number:,} {kind}" for kind, number in sorted(self.usage.failed.items()))
            self._progress(f"{self.model}: no {task.what} for {plural(failed, 'base')}: {kinds}")

    def _most(self, question: WriterQuestion, base: BaseQuery) -> ModelCost:
        """Upper bound of the cost of all asks for one base."""
        prompt, completion = question.most_tokens(base)
        return self._budget.cost(ASKS * prompt, ASKS * completion)

    def _count(self, reply: ChatReply[list[str]]) -> ModelCost:
        """Count a reply. Returns its cost without the attempts that got no answer, which have reservations of their
        own."""
        self.usage.usd += self._budget.cost(reply.prompt_tokens, reply.completion_tokens).usd
        self.usage.prompt_tokens += reply.prompt_tokens
        self.usage.completion_tokens += reply.completion_tokens
        if reply.value is None:
            self._count_failure(reply.wrong)
        else:
            self.usage.written += 1
        return self._budget.cost(reply.prompt_tokens - reply.lost[0], reply.completion_tokens - reply.lost[1])

    def _count_failure(self, kind: str) -> None:
        self.usage.failed[kind] = self.usage.failed.get(kind, 0) + 1

    def _count_over_cap(self, task: WritingTask, unasked: dict[str, BaseQuery]) -> None:
        if not unasked:
            return
        self.usage.over_cap += len(unasked)
        self._counted.update(unasked)
        cap = self._budget.cap(*_CAPS)
        self._progress(
            f"{self.model}: the {cap} is reached; {task.what} of {plural(len(unasked), 'base')} wait for a later run"
        )
