"""The filters of variants: each excludes what it should, counts it, and keeps the rest."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from cachewarm_client.text import canonical, entry_id
from cachewarm_client.words import tokens
from hypothesis import given
from hypothesis import strategies as st

from cachewarm_pipeline.candidates.provenance import AnswerProvenance, source_row_hash
from cachewarm_pipeline.candidates.variant_filter import (
    TOO_CLOSE,
    TOO_FAR,
    FilteredVariants,
    filter_variants,
    meaning_changed,
)
from cachewarm_pipeline.candidates.variant_table import WriterInfo, variants_table
from cachewarm_pipeline.exclusion_reasons import Counts, ExclusionReason
from cachewarm_pipeline.ports import AnswerPair, BaseQuery
from cachewarm_pipeline.storage.schemas import CANDIDATE_FIELDS, SYNTHETIC_VARIANTS

BASE = BaseQuery("a", "How do we fix slow queries?", "Add an index.")


class Places:
    """Vectors of texts: at that cosine distance from the base, which is at 0; each in a direction of its own, but for
    those of ``together``, which share one."""

    def __init__(self, at: dict[str, float], together: Sequence[str] = ()) -> None:
        self.at, self.together = at, together
        self.asked: list[str] = []

    def __call__(self, texts: Sequence[str]) -> Any:
        self.asked += texts
        vectors = np.zeros((len(texts), len(self.at) + 2), np.float32)
        for vector, text in zip(vectors, texts, strict=True):
            vector[0] = 1 - self.at[text]
            vector[1 if text in self.together else 2 + list(self.at).index(text)] = np.sqrt(1 - vector[0] ** 2)
        return vectors


def equivalent(pairs: Sequence[AnswerPair]) -> Any:
    return np.array([pair.left.casefold() == pair.right.casefold() for pair in pairs], bool)


def candidates(*rows: tuple[str, str, float | None], agent_type: str = "a") -> pa.Table:
    """(prompt, response, cost_usd)."""
    made = [
        {
            "entry_id": entry_id(prompt, agent_type),
            "agent_type": agent_type,
            "prompt": prompt,
            "response": response,
            "source": "query_log",
            "quality_score": 0.9,
            "demand": 1.0,
            "cost_usd": cost,
            "provenance": "{}",
        }
        for prompt, response, cost in rows
    ]
    return pa.Table.from_pylist(made, schema=pa.schema(CANDIDATE_FIELDS))


def run(
    variants: Sequence[str],
    at: dict[str, float] | None = None,
    *,
    base: BaseQuery = BASE,
    others: Sequence[BaseQuery] = (),
    known: Sequence[pa.Table] = (),
    together: Sequence[str] = (),
    **more: Any,
) -> FilteredVariants:
    places = Places({base.prompt: 0.0, **(at or {})}, together)
    return filter_variants([(base, variants)], [base, *others], known, vectors_of=places, equivalent=equivalent, **more)


def test_a_good_variant_is_kept_with_the_answer_and_cost_of_its_base() -> None:
    known = candidates((BASE.prompt, "Add an index.", 0.02))
    found = run(["  Slow queries, what is the fix? "], {"Slow queries, what is the fix?": 0.2}, known=[known])
    [variant] = found.kept
    assert (variant.prompt, variant.response, variant.cost_usd) == (
        "Slow queries, what is the fix?",
        "Add an index.",
        0.02,
    )
    assert variant.distance == pytest.approx(0.2, abs=1e-6)
    assert not variant.generated
    assert not found.excluded


@pytest.mark.parametrize(
    ("variant", "reason"),
    [
        ("", ExclusionReason.EMPTY_PROMPT),
        (" ?! ", ExclusionReason.EMPTY_PROMPT),
        ("x" * 2001, ExclusionReason.PROMPT_TOO_LONG),
        ("Fix slow queries for ada.moss@corp.io", ExclusionReason.PERSONAL),
        ("how do we fix  slow queries", ExclusionReason.DUPLICATE_PROMPT),
        ("How do we fix 3 slow queries?", ExclusionReason.MEANING_CHANGED),
        ("How do we not fix slow queries?", ExclusionReason.MEANING_CHANGED),
        ("How do we fix slow Postgres queries?", ExclusionReason.MEANING_CHANGED),
        ("Is a rewrite better instead of a fix for slow queries?", ExclusionReason.MEANING_CHANGED),
    ],
)
def test_variants_excluded_by_their_words_are_never_embedded(variant: str, reason: ExclusionReason) -> None:
    places = Places({})
    found = filter_variants([(BASE, [variant])], [BASE], [], vectors_of=places, equivalent=equivalent)
    assert (found.kept, found.excluded) == ([], Counts({reason: 1}))
    assert not places.asked


def test_a_canonical_form_is_kept_once_in_an_agent_type() -> None:
    other, elsewhere = BaseQuery("a", "What is a slow query?", "x"), BaseQuery("b", "How do we fix slow queries?", "x")
    first, second = "Please fix slow queries", "please FIX slow queries!"
    at = {BASE.prompt: 0.0, other.prompt: 0.4, first: 0.2, second: 0.2, "a KNOWN one": 0.3}
    written = [(BASE, [first, second, "A known one", other.prompt]), (elsewhere, [second])]
    found = filter_variants(
        written,
        [BASE, other, elsewhere],
        [candidates(("a KNOWN one", "x", None))],
        vectors_of=Places(at),
        equivalent=equivalent,
    )
    assert [(v.base.agent_type, v.prompt) for v in found.kept] == [("a", first), ("b", second)]
    assert found.excluded == {ExclusionReason.DUPLICATE_PROMPT: 3}


def test_too_close_to_the_base_or_a_kept_sibling_adds_nothing() -> None:
    at = {"one": TOO_CLOSE - 0.001, "two": 0.2, "three": 0.205, "four": 0.35}
    found = run(list(at), at, together=["two", "three"])
    assert [variant.prompt for variant in found.kept] == ["two", "four"]
    assert found.excluded == {ExclusionReason.TOO_CLOSE: 2}


def test_too_far_is_another_question() -> None:
    at = {"one": TOO_FAR - 0.001, "two": TOO_FAR + 0.001}
    found = run(list(at), at)
    assert [variant.prompt for variant in found.kept] == ["one"]
    assert found.excluded == {ExclusionReason.TOO_FAR: 1}


def test_the_caller_chooses_the_distances() -> None:
    at = {"one": 0.05, "two": 0.2, "three": 0.3}
    found = run(list(at), at, min_distance=0.1, max_distance=0.25)
    assert [variant.prompt for variant in found.kept] == ["two"]
    assert found.excluded == {ExclusionReason.TOO_CLOSE: 1, ExclusionReason.TOO_FAR: 1}


def test_a_variant_nearer_to_a_prompt_is_excluded_where_the_answer_differs_and_kept_where_it_is_the_same() -> None:
    at, side = {"variant": 0.3, "near": 0.35}, ["variant", "near"]
    for others, known in (
        ([BaseQuery("a", "near", "Other.")], []),
        ([BaseQuery("a", "near", None)], []),
        ([], [candidates(("near", "Other.", None))]),
    ):
        assert run(["variant"], at, others=others, known=known, together=side).excluded == {
            ExclusionReason.NEARER_TO_ANOTHER_BASE: 1
        }
    for others, known in (
        ([BaseQuery("a", "near", "ADD an index.")], []),
        ([BaseQuery("b", "near", "Other.")], []),
        ([], [candidates(("near", "ADD an index.", None))]),
        ([], [candidates(("near", "Other.", None), agent_type="b")]),
    ):
        assert len(run(["variant"], at, others=others, known=known, together=side).kept) == 1


def test_a_base_without_an_answer_has_no_variants_unless_answers_are_generated() -> None:
    base = BaseQuery("a", BASE.prompt)
    at = {"one": 0.2, "two": 0.3, "three": 0.4, "four": 0.1}
    assert run(list(at), at, base=base).excluded == {ExclusionReason.NO_RESPONSE: 4}
    asked: list[BaseQuery] = []

    def answers(questions: Sequence[BaseQuery]) -> list[str | None]:
        asked.extend(questions)
        return ["Index it.", None, "mail ada.moss@corp.io", " "]

    found = run(list(at), at, base=base, answers_of=answers)
    assert [(variant.response, variant.generated) for variant in found.kept] == [("Index it.", True)]
    assert found.excluded == {
        ExclusionReason.NO_RESPONSE: 1,
        ExclusionReason.PERSONAL: 1,
        ExclusionReason.EMPTY_RESPONSE: 1,
    }
    assert [(question.agent_type, question.prompt) for question in asked] == [("a", prompt) for prompt in at]
    large = run(["one"], at, base=base, answers_of=lambda _: ["x" * 11], max_response_bytes=10)
    assert large.excluded == {ExclusionReason.RESPONSE_TOO_LARGE: 1}


def test_no_answer_is_asked_for_where_the_base_has_one_or_the_variant_is_excluded() -> None:
    def answers(questions: Sequence[BaseQuery]) -> list[str | None]:
        raise AssertionError(questions)

    assert len(run(["one"], {"one": 0.2}, answers_of=answers).kept) == 1
    base = BaseQuery("a", BASE.prompt)
    assert run(["one"], {"one": 0.9}, base=base, answers_of=answers).excluded == {ExclusionReason.TOO_FAR: 1}


def test_personal_data_in_the_answer_of_a_base_excludes_its_variants() -> None:
    base = BaseQuery("a", BASE.prompt, "Ask ada.moss@corp.io")
    assert run(["one", "two"], base=base).excluded == {ExclusionReason.PERSONAL: 2}


@pytest.mark.parametrize(
    ("base", "variant", "changed"),
    [
        ("Steps to get from React to Angular", "Steps to get from Angular to React", True),
        ("Which steps lead from mysql to postgres?", "What does it take to leave postgres, from there to mysql?", True),
        ("What do we change for OpenAPI 3.0?", "What do we change for OpenAPI 3.1?", True),
        ("Would you mock the database?", "Would you not mock the database?", True),
        ("Would you mock the database?", "Would you use a real database instead of a mock?", True),
        ("Run it before the next release is made", "Run it after the next release is made", True),
        ("Recommend a library for event schemas", "Which library do you recommend for event schemas?", False),
        ("Explain the impact of brittle UI tests", "Why are brittle UI tests bad for the team?", False),
        ("Write a test for slow regexes", "write a test for slow regexes please", False),
    ],
)
def test_the_order_of_words_matters_only_among_nearly_the_same_words(base: str, variant: str, changed: bool) -> None:
    assert meaning_changed(tokens(base), tokens(variant)) is changed


def test_a_row_has_its_provenance() -> None:
    found = run(["one"], {"one": 0.25}, base=BaseQuery("a", BASE.prompt, "Add an index.", "golden"))
    depends = AnswerProvenance("of the base", "gpt")
    table = variants_table(
        found.kept, WriterInfo("some-model", False, "v1", 0.8), {entry_id(BASE.prompt, "a"): depends}
    )
    assert table.schema.equals(SYNTHETIC_VARIANTS)
    [row] = table.to_pylist()
    assert row["entry_id"] == entry_id("one", "a")
    assert (row["source"], row["quality_score"], row["demand"], row["cost_usd"]) == ("synthetic", 0.7, 0.0, None)
    assert (row["base_id"], row["base_prompt"]) == (entry_id(BASE.prompt, "a"), BASE.prompt)
    assert row["base_distance"] == pytest.approx(0.25, abs=1e-6)
    assert json.loads(row["provenance"]) == {
        "base_id": row["base_id"],
        "base_origin": "golden",
        "model": "some-model",
        "recorded": False,
        "prompt_version": "v1",
        "temperature": 0.8,
        "response": "base",
        "depends": {"source_row": "of the base", "answer_model": "gpt", "prompt_version": None, "embedder": None},
    }


def test_a_variant_without_a_candidate_as_base_depends_on_its_own_answer_and_a_generated_one_on_its_writer() -> None:
    writer = WriterInfo("some-model", False, "v1", 0.8)
    configured = run(["one"], {"one": 0.25}, base=BaseQuery("a", BASE.prompt, "Add an index."))
    [row] = variants_table(configured.kept, writer, {}).to_pylist()
    assert AnswerProvenance.of(row["provenance"]) == AnswerProvenance(source_row_hash("Add an index."))
    generated = [replace(variant, generated=True, response="Mine.") for variant in configured.kept]
    [row] = variants_table(generated, writer, {configured.kept[0].base.entry_id: AnswerProvenance("x")}).to_pylist()
    assert AnswerProvenance.of(row["provenance"]) == AnswerProvenance(source_row_hash("Mine."), "some-model")


WORDS = ["how", "do", "not", "we", "fix", "slow", "queries", "3.1", "Postgres", "from", "to", "a@b.io", "?", " ", "FIX"]
TEXT = st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join)
BASES = st.builds(
    BaseQuery,
    st.sampled_from(["a", "b"]),
    TEXT.filter(lambda text: bool(canonical(text))),
    st.sampled_from([None, "yes", "no", "ask ada.moss@corp.io"]),
)


def hashed(texts: Sequence[str]) -> Any:
    """Any place in a small part of space, the same for one text."""
    numbers = np.array([list(hashlib.sha256(text.encode()).digest()[:6]) for text in texts], np.float32) / 255
    vectors = numbers + 0.05
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@given(
    st.lists(st.tuples(BASES, st.lists(TEXT, max_size=6)), max_size=4, unique_by=lambda item: item[0].entry_id),
    st.lists(st.tuples(TEXT, st.sampled_from(["yes", "no"])), max_size=4),
    st.booleans(),
)
def test_each_variant_is_counted_and_kept_ones_are_distinct_and_contradict_nothing(
    written: list[tuple[BaseQuery, list[str]]], known: list[tuple[str, str]], generate: bool
) -> None:
    bases = [base for base, _ in written]
    table = candidates(*((prompt, response, None) for prompt, response in known))
    answers_of = (lambda questions: ["generated"] * len(questions)) if generate else None
    found = filter_variants(written, bases, [table], vectors_of=hashed, equivalent=equivalent, answers_of=answers_of)
    assert len(found.kept) + sum(found.excluded.values()) == sum(len(texts) for _, texts in written)
    forms = [(variant.base.agent_type, canonical(variant.prompt)) for variant in found.kept]
    taken = {(base.agent_type, canonical(base.prompt)) for base in bases} | {("a", canonical(p)) for p, _ in known}
    assert len(forms) == len(set(forms))
    assert not set(forms) & taken
    for variant in found.kept:
        base, own = tokens(variant.base.prompt), tokens(variant.prompt)
        assert (base.numbers, base.negations) == (own.numbers, own.negations)
        assert not meaning_changed(base, own)
        assert TOO_CLOSE <= variant.distance <= TOO_FAR
        assert variant.response
