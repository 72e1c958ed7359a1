"""Which variants of base queries become candidates, and why the others do not. Pure: vectors, verdicts about answers
and a model's answers come from callables."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from cachewarm_client.personal_data import find_personal_data
from cachewarm_client.prompt_contradiction import NEARLY_THE_SAME, contradiction
from cachewarm_client.text import MAX_PROMPT_CHARS, canonical, entry_id
from cachewarm_client.words import Tokens, exchanged, tokens
from numpy.typing import NDArray

from cachewarm_pipeline.exclusion_reasons import Counts, ExclusionReason
from cachewarm_pipeline.numerics.nearest_neighbours import Vectors, nearest_neighbours
from cachewarm_pipeline.ports import BaseQuery

TOO_CLOSE = 0.03
"""Cosine distance to its base, or to a kept variant of it, under which a variant covers next to nothing of its own.

Measured on the synthetic sample with all-MiniLM-L6-v2: of two wordings of one question under 0.03 apart, the second
brings another 14% of the queries that the first has within 0.05, 7% within 0.1, 2% within 0.25. From 0.05 on it brings
as many again. 6% of the recorded variants are under it. Another model has another scale.
"""

TOO_FAR = 0.45
"""Cosine distance to its base over which a variant is taken for another question.

Measured in the same way: of two queries of an agent_type that are 0.45 to 0.5 apart one in six has the same answer, at
0.5 to 0.6 one in sixteen, past that one in a hundred. 97% of the recorded variants are within it. Another model has
another scale.
"""

LOOKED_AT = 16
"""Nearest other prompts that are looked at: where so many are nearer than the base and all have its answer, the place
is its own."""

BLOCK = 50_000
"""Other prompts whose vectors are held at a time: 300 MB at 1,536 dimensions."""

_TURNING = frozenset(["instead", "rather", "except", "unless", "only", "avoid"])
"""Turn a request round without a negation: "with a real database instead of a mock"."""

VectorsOf = Callable[[Sequence[str]], Vectors]
"""Unit vectors float32 (n, d) of texts, in their order."""

Same = Callable[[Sequence[tuple[str, str]]], NDArray[np.bool_]]
"""Which pairs of responses are equivalent: a judge's ``same``."""

AnswersOf = Callable[[Sequence[BaseQuery]], Sequence[str | None]]
"""A model's answers to questions; None where there is none."""


@dataclass(frozen=True)
class Variant:
    """A variant that stays. ``distance``: cosine distance to its base; ``generated``: the answer is a model's own."""

    base: BaseQuery
    prompt: str
    response: str
    distance: float
    generated: bool
    cost_usd: float | None


@dataclass(frozen=True)
class Filtered:
    """``kept`` by agent_type, in the order given. Kept and left out together are all that were given."""

    kept: list[Variant]
    excluded: Counts


@dataclass(frozen=True)
class _KnownPrompts:
    """A prompt that is there already: a candidate, or a base."""

    prompt: str
    response: str | None
    cost_usd: float | None


@dataclass(frozen=True)
class _Open:
    """A variant that nothing was found against yet."""

    base: BaseQuery
    prompt: str


def filter_variants(
    written: Sequence[tuple[BaseQuery, Sequence[str]]],
    bases: Iterable[BaseQuery],
    candidates: Sequence[pa.Table],
    *,
    vectors_of: VectorsOf,
    same: Same,
    answers_of: AnswersOf | None = None,
    max_response_bytes: int = 65_536,
    min_distance: float = TOO_CLOSE,
    max_distance: float = TOO_FAR,
) -> Filtered:
    """The variants worth warming. Each of the others counts under the first of these reasons that holds:

    EMPTY_PROMPT, PROMPT_TOO_LONG; PERSONAL: in the prompt or the base's response; DUPLICATE_PROMPT: canonical form of
    a base, a candidate or another variant of the agent_type; MEANING_CHANGED: see ``meaning_changed``; TOO_CLOSE:
    under ``min_distance`` from the base or from a kept variant of it; TOO_FAR: over ``max_distance`` from the base;
    NEARER_TO_ANOTHER_BASE: another base or candidate of the agent_type is nearer than the base, and ``same`` does not
    hold their answers equivalent; NO_RESPONSE: the base has no answer, and ``answers_of`` has none for the variant. An
    answer of ``answers_of`` can be EMPTY_RESPONSE, RESPONSE_TOO_LARGE or PERSONAL too; it is asked for after all other
    filters, because it may be paid for.

    ``bases``: all of the day; those of ``written`` belong to them in any case. ``candidates``: golden first. Memory:
    the vectors of the variants of one agent_type, and BLOCK others.
    """
    excluded = Counts()
    own: dict[str, list[tuple[BaseQuery, Sequence[str]]]] = defaultdict(list)
    for base, texts in written:
        own[base.agent_type].append((base, texts))
    known = _known_by_agent([*bases, *(base for base, _ in written)], candidates, own.keys())
    passed: dict[tuple[str, str], tuple[_Open, float]] = {}
    limits = (min_distance, max_distance)
    for agent_type, its in own.items():
        opened = _by_words(its, known[agent_type], excluded)
        for variant, distance in _by_place(opened, known[agent_type], limits, vectors_of, same, excluded):
            passed[agent_type, variant.prompt] = (variant, distance)
    unanswered = [variant for variant, _ in passed.values() if variant.base.response is None]
    answers: dict[tuple[str, str], str | None] = {}
    if answers_of is not None and unanswered:
        questions = [replace(variant.base, prompt=variant.prompt) for variant in unanswered]
        keys = [(question.agent_type, question.prompt) for question in questions]
        answers = dict(zip(keys, answers_of(questions), strict=True))
    kept = []
    for key, (variant, distance) in passed.items():
        base = variant.base
        generated = base.response is None
        response = answers.get(key) if generated else base.response
        reason = _why_no_answer(response, max_response_bytes) if generated else None
        if reason is not None or response is None:
            excluded[reason or ExclusionReason.NO_RESPONSE] += 1
            continue
        cost = known[base.agent_type][base.entry_id].cost_usd
        kept.append(Variant(base, variant.prompt, response.strip(), distance, generated, cost))
    return Filtered(kept, +excluded)


def meaning_changed(base: Tokens, variant: Tokens) -> bool:
    """Whether the words of a variant ask for something else: other numbers, versions, negations or names; a word that
    comes from where it went to; one of _TURNING; and in nearly the same words another order or another word.

    The order of words counts only there. A question that became a command has its words in another order too: of
    the recorded variants one in four has that, and of these one in twenty asks for something else.
    """
    shared = len(base.all & variant.all)
    if shared < NEARLY_THE_SAME * len(base.all | variant.all):
        changed = contradiction(replace(base, order=()), replace(variant, order=()))
    else:
        changed = contradiction(base, variant)
    return changed is not None or exchanged(base, variant) or bool((base.all ^ variant.all) & _TURNING)


def _known_by_agent(
    bases: Sequence[BaseQuery], candidates: Sequence[pa.Table], agent_types: Iterable[str]
) -> dict[str, dict[str, _KnownPrompts]]:
    """By agent_type and entry_id. A candidate of two tables has the first one's answer and the first known cost."""
    known: dict[str, dict[str, _KnownPrompts]] = {agent_type: {} for agent_type in agent_types}
    for table in candidates:
        for row in table.select(["entry_id", "agent_type", "prompt", "response", "cost_usd"]).to_pylist():
            its = known.get(row["agent_type"])
            if its is None:
                continue
            first = its.setdefault(row["entry_id"], _KnownPrompts(row["prompt"], row["response"], row["cost_usd"]))
            if first.cost_usd is None and row["cost_usd"] is not None:
                its[row["entry_id"]] = replace(first, cost_usd=row["cost_usd"])
    for base in bases:
        if base.agent_type in known:
            known[base.agent_type].setdefault(base.entry_id, _KnownPrompts(base.prompt, base.response, None))
    return known


def _by_words(
    written: Sequence[tuple[BaseQuery, Sequence[str]]], known: Mapping[str, _KnownPrompts], excluded: Counts
) -> list[_Open]:
    opened = []
    seen = set(known)
    for base, texts in written:
        personal = base.response is not None and bool(find_personal_data(base.response))
        words = tokens(base.prompt)
        for text in texts:
            prompt = text.strip()
            id = entry_id(prompt, base.agent_type)
            if not canonical(prompt):
                excluded[ExclusionReason.EMPTY_PROMPT] += 1
            elif len(prompt) > MAX_PROMPT_CHARS:
                excluded[ExclusionReason.PROMPT_TOO_LONG] += 1
            elif personal or find_personal_data(prompt):
                excluded[ExclusionReason.PERSONAL] += 1
            elif id in seen:
                excluded[ExclusionReason.DUPLICATE_PROMPT] += 1
            elif meaning_changed(words, tokens(prompt)):
                excluded[ExclusionReason.MEANING_CHANGED] += 1
            else:
                seen.add(id)
                opened.append(_Open(base, prompt))
    return opened


def _by_place(
    opened: Sequence[_Open],
    known: Mapping[str, _KnownPrompts],
    limits: tuple[float, float],
    vectors_of: VectorsOf,
    same: Same,
    excluded: Counts,
) -> list[tuple[_Open, float]]:
    """Those that stay, with their distance to their base; ``limits``: least and most of it."""
    if not opened:
        return []
    least, most = limits
    bases = list({variant.base.entry_id: variant.base.prompt for variant in opened}.items())
    row_of = {id: row for row, (id, _) in enumerate(bases)}
    own = np.array([row_of[variant.base.entry_id] for variant in opened])
    vectors = vectors_of([variant.prompt for variant in opened])
    to_base = (vectors * vectors_of([prompt for _, prompt in bases])[own]).sum(1)
    distance = np.maximum(0.0, 1.0 - to_base)
    inside = np.flatnonzero((distance >= least) & (distance <= most))
    nearer = np.zeros(len(opened), bool)
    nearer[inside] = _nearer_to_another(
        [opened[i] for i in inside.tolist()], vectors[inside], to_base[inside], known, vectors_of, same
    )
    kept_of: dict[str, list[int]] = defaultdict(list)
    kept = []
    for i, variant in enumerate(opened):
        siblings = kept_of[variant.base.entry_id]
        near_sibling = bool(siblings) and float((vectors[siblings] @ vectors[i]).max()) > 1 - least
        if distance[i] < least or near_sibling:
            excluded[ExclusionReason.TOO_CLOSE] += 1
        elif distance[i] > most:
            excluded[ExclusionReason.TOO_FAR] += 1
        elif nearer[i]:
            excluded[ExclusionReason.NEARER_TO_ANOTHER_BASE] += 1
        else:
            siblings.append(i)
            kept.append((variant, float(distance[i])))
    return kept


def _nearer_to_another(
    variants: Sequence[_Open],
    vectors: Vectors,
    to_base: NDArray[np.floating],
    known: Mapping[str, _KnownPrompts],
    vectors_of: VectorsOf,
    same: Same,
) -> NDArray[np.bool_]:
    """Which variants have a prompt of another answer nearer than their base; an answer that is not known is another."""
    found = np.zeros(len(variants), bool)
    if not len(variants):
        return found
    ids = list(known)
    pairs: list[tuple[int, str, str]] = []
    places, cosine = _nearest_known(vectors, [known[id].prompt for id in ids], vectors_of)
    for i, variant in enumerate(variants):
        for place, value in zip(places[i], cosine[i], strict=True):
            if value <= to_base[i]:
                break
            if ids[place] == variant.base.entry_id:
                continue
            response, other = variant.base.response, known[ids[place]].response
            if response is None or other is None:
                found[i] = True
            else:
                pairs.append((i, response, other))
    asked = list(dict.fromkeys((response, other) for _, response, other in pairs))
    verdicts = dict(zip(asked, same(asked).tolist() if asked else [], strict=True))
    for i, response, other in pairs:
        found[i] |= not verdicts[response, other]
    return found


def _nearest_known(
    vectors: Vectors, prompts: Sequence[str], vectors_of: VectorsOf
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Places and cosines (n, LOOKED_AT) of the nearest prompts, best first."""
    places, cosines = np.empty((len(vectors), 0), np.int64), np.empty((len(vectors), 0), np.float32)
    for start in range(0, len(prompts), BLOCK):
        near = nearest_neighbours(vectors, vectors_of(prompts[start : start + BLOCK]), LOOKED_AT)
        places = np.concatenate([places, near.places + start], 1)
        cosines = np.concatenate([cosines, near.cosine], 1)
        best = np.argsort(-cosines, axis=1, kind="stable")[:, :LOOKED_AT]
        places, cosines = np.take_along_axis(places, best, 1), np.take_along_axis(cosines, best, 1)
    return places, cosines


def _why_no_answer(response: str | None, max_bytes: int) -> ExclusionReason | None:
    if response is None:
        return ExclusionReason.NO_RESPONSE
    if not response.strip():
        return ExclusionReason.EMPTY_RESPONSE
    if len(response.encode("utf-8", "surrogatepass")) > max_bytes:
        return ExclusionReason.RESPONSE_TOO_LARGE
    return ExclusionReason.PERSONAL if find_personal_data(response) else None
