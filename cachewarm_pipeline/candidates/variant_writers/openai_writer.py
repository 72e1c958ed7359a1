"""The `openai` writer: variants and answers of a chat model. No base is paid for twice, and no more is spent than the
caps of the run allow.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cachewarm_pipeline.candidates.variant_writers.openai_batches import Batches
from cachewarm_pipeline.candidates.variant_writers.writer_model import WriterModel
from cachewarm_pipeline.candidates.variant_writers.writer_prompts import (
    ASKS,
    WriterQuestion,
    WriterReply,
    answer_question,
    variants_question,
)
from cachewarm_pipeline.candidates.variant_writers.written_texts import Memo, memo_of
from cachewarm_pipeline.models.budgets import ModelBudget, ModelCost, ask_within_budget
from cachewarm_pipeline.ports import BaseQuery, LlmUsage

STORE_EVERY = 8
"""Answers stored at once: a killed run loses at most these and those under way, about a cent."""

_TELL_EVERY = 50

_CAPS = "CACHEWARM_LLM_MAX_USD", "CACHEWARM_LLM_MAX_TOKENS"


@dataclass(frozen=True)
class Desk:
    """One kind of question with all that belongs to it. ``what``: for messages."""

    what: str
    question: WriterQuestion
    memo: Memo
    batches: Batches


class OpenAIWriter:
    """The ``Llm`` port over an OpenAI-compatible server. Not for several threads at once; asks on its own.

    A base that the model wrote nothing usable for twice is counted in ``usage.failed`` and asked again by the next run.
    With ``batch`` nothing is asked at once: see ``Batches``; bases of a batch under way are never asked, batch or not.
    Each base counts once in ``usage``: what a batch brought is counted, and its cost, by the run that collects it; the
    cap that holds it is the one of the run that submitted it.
    """

    name = "openai"

    def __init__(
        self,
        model: WriterModel,
        written: str,
        spend: ModelBudget,
        progress: Callable[[str], object],
        *,
        n: int = 8,
        temperature: float = 0.8,
        concurrency: int = 8,
        batch: bool = False,
    ) -> None:
        """``written``: URI of the folder of all memos; ``n``: variants a base."""
        self._model, self._written, self._spend, self._progress = model, written, spend, progress
        self._concurrency, self._batch = concurrency, batch
        self.model = model.name
        self.temperature = temperature
        self.usage = LlmUsage()
        self._variants = self._desk("variants", variants_question(n, temperature))
        self._answers = self._desk("answers", answer_question())
        self.prompt_version = self._variants.question.version
        self._counted: set[str] = set()

    def knows(self, base: BaseQuery) -> bool:
        return True

    def variants(self, bases: Sequence[BaseQuery], *, ask: bool = True) -> list[list[str] | None]:
        return self._write(self._variants, bases, ask)

    def answers(self, questions: Sequence[BaseQuery], *, ask: bool = True) -> list[str | None]:
        return [texts[0] if texts else None for texts in self._write(self._answers, questions, ask)]

    def _desk(self, what: str, question: WriterQuestion) -> Desk:
        memo = memo_of(self._written, self._model.name, question)
        return Desk(what, question, memo, Batches(self._model, question, memo, self._spend, self.usage, self._progress))

    def _write(self, desk: Desk, bases: Sequence[BaseQuery], ask: bool) -> list[list[str] | None]:
        keys = [desk.question.key(self.model, base) for base in bases]
        if ask:
            self._bring(desk, keys, bases)
        texts = [desk.memo.get(key) for key in keys]
        return [None if found is None else list(found) for found in texts]

    def _bring(self, desk: Desk, keys: Sequence[str], bases: Sequence[BaseQuery]) -> None:
        """Into the memo what is not in it, as far as the server writes it and the caps allow; counts each base."""
        wanted: dict[str, BaseQuery] = {}
        for key, base in zip(keys, bases, strict=True):
            if key not in self._counted:
                wanted.setdefault(key, base)
        if wanted:
            # First: what it brings is in the memo then.
            desk.batches.collect()
        unwritten = {key: base for key, base in wanted.items() if not self._stands(desk, key)}
        if unwritten and self._batch:
            self._submit(desk, unwritten)
        elif unwritten:
            self._ask(desk, unwritten)

    def _stands(self, desk: Desk, key: str) -> bool:
        """Whether nothing is to be asked for the key in this run; counts it then."""
        batches, usage = desk.batches, self.usage
        if key in batches.written:
            usage.written += 1
        elif desk.memo.get(key) is not None:
            usage.known += 1
        elif key in batches.failed:
            self._fail(batches.failed[key])
        elif key in batches.pending:
            usage.pending += 1
        else:
            return False
        self._counted.add(key)
        return True

    def _submit(self, desk: Desk, unwritten: dict[str, BaseQuery]) -> None:
        desk.batches.submit(unwritten)
        self._over_cap(desk, {key: base for key, base in unwritten.items() if not self._stands(desk, key)})

    def _ask(self, desk: Desk, unwritten: dict[str, BaseQuery]) -> None:
        """Asks in order, as far as the caps allow, and stores what is written."""
        fresh: dict[str, list[str]] = {}
        done = 0

        def finished(key: str, reply: WriterReply) -> ModelCost:
            nonlocal done
            done += 1
            self._counted.add(key)
            cost = self._count(reply)
            if reply.texts is not None:
                fresh[key] = reply.texts
            if len(fresh) >= STORE_EVERY:
                desk.memo.put(fresh)
                self._model.write()
                fresh.clear()
            if done % _TELL_EVERY == 0:
                of = f"{done:,} of {len(unwritten):,}"
                self._progress(f"{self.model} wrote {desk.what} for {of} bases, ${self.usage.usd:.2f} in this run")
            return cost

        try:
            ask_within_budget(
                self._spend,
                unwritten,
                lambda base: self._model.ask(desk.question, base, self._spend.again(*_CAPS)),
                most=lambda base: self._most(desk.question, base),
                finished=finished,
                concurrency=self._concurrency,
                name="writer",
            )
        finally:
            self._model.write()
            desk.memo.put(fresh)
        self._over_cap(desk, {key: base for key, base in unwritten.items() if key not in self._counted})
        failed = sum(self.usage.failed.values())
        if failed:
            kinds = ", ".join(f"{number:,} {kind}" for kind, number in sorted(self.usage.failed.items()))
            self._progress(f"{self.model}: no {desk.what} for {failed:,} of the bases: {kinds}")

    def _most(self, question: WriterQuestion, base: BaseQuery) -> ModelCost:
        prompt, completion = question.most_tokens(base)
        return self._spend.cost(ASKS * prompt, ASKS * completion)

    def _count(self, reply: WriterReply) -> ModelCost:
        """What it cost of what was set aside before it was asked: further tries set theirs aside themselves."""
        self.usage.usd += self._spend.cost(reply.prompt_tokens, reply.completion_tokens).usd
        self.usage.prompt_tokens += reply.prompt_tokens
        self.usage.completion_tokens += reply.completion_tokens
        if reply.texts is None:
            self._fail(reply.wrong)
        else:
            self.usage.written += 1
        return self._spend.cost(reply.prompt_tokens - reply.lost[0], reply.completion_tokens - reply.lost[1])

    def _fail(self, kind: str) -> None:
        self.usage.failed[kind] = self.usage.failed.get(kind, 0) + 1

    def _over_cap(self, desk: Desk, left: dict[str, BaseQuery]) -> None:
        if not left:
            return
        self.usage.over_cap += len(left)
        self._counted.update(left)
        cap = self._spend.cap(*_CAPS)
        self._progress(f"{self.model}: the {cap} is reached; {desk.what} of {len(left):,} bases wait for a later run")
