"""Which variants of base queries become candidates, and why the others do not. Pure: vectors, verdicts about answers,
and a model's answers come from functions."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from cachewarm_client.personal_data import find_personal_data
from cachewarm_client.prompt_contradiction import NEARLY_THE_SAME, contradiction
from cachewarm_client.text import MAX_PROMPT_CHARS, canonical, entry_id
from cachewarm_client.words import Tokens, exchanged, tokens

from cachewarm_pipeline.candidates.variant_neighbours import Equivalent, KnownPrompt, VectorsOf, nearer_to_another
from cachewarm_pipeline.exclusion_reasons import Counts, ExclusionReason
from cachewarm_pipeline.ports import BaseQuery

TOO_CLOSE = 0.03
"""Least cosine distance of a variant to its base, and to each kept variant of it. A nearer one brings almost no hits of
its own.

Measured on the synthetic sample with all-MiniLM-L6-v2: take two wordings of one question that are less than 0.03 apart.
The second reaches few queries that the first does not reach: another 14% within 0.05, 7% within 0.1, 2% within 0.25.
From a distance of 0.05 on, the second answers as many new queries as the first. 6% of the recorded variants are nearer
than 0.03. Another embedding model has another scale.
"""

TOO_FAR = 0.45
"""Greatest cosine distance of a variant to its base. A variant that is farther away is taken for another question.

Measured in the same way: of two queries of an agent_type at a distance of 0.45 to 0.5, one in six has the same answer;
at 0.5 to 0.6 one in sixteen; beyond that one in a hundred. 97% of the recorded variants are within 0.45. Another
embedding model has another scale.
"""

_TURNING = frozenset(["instead", "rather", "except", "unless", "only", "avoid"])
"""Words that reverse a request without a negation: "with a real database instead of a mock"."""

AnswersOf = Callable[[Sequence[BaseQuery]], Sequence[str | None]]
"""A model's answers to questions, in their order; None where it has none."""


@dataclass(frozen=True)
class Variant:
    """A variant that becomes a candidate."""

    base: BaseQuery
    prompt: str
    response: str
    distance: float
    """Cosine distance to its base."""
    generated: bool
    """Whether the response is a model's own, not that of the base."""
    cost_usd: float | None
    """Mean cost of the call that a hit saves; None where it is not known."""


@dataclass(frozen=True)
class FilteredVariants:
    """The outcome for each variant: it is kept, or excluded and counted once."""

    kept: list[Variant]
    """By agent_type, in the order given."""
    excluded: Counts


@dataclass(frozen=True)
class _Undecided:
    """A variant that has passed all filters so far."""

    base: BaseQuery
    prompt: str


def filter_variants(
    written: Sequence[tuple[BaseQuery, Sequence[str]]],
    bases: Iterable[BaseQuery],
    candidates: Sequence[pa.Table],
    *,
    vectors_of: VectorsOf,
    equivalent: Equivalent,
    answers_of: AnswersOf | None = None,
    max_response_bytes: int = 65_536,
    min_distance: float = TOO_CLOSE,
    max_distance: float = TOO_FAR,
) -> FilteredVariants:
    """The variants that are worth warming. Each other variant is counted under the first reason that applies:

    - EMPTY_PROMPT, PROMPT_TOO_LONG.
    - PERSONAL: personal data in the prompt or in the base's response.
    - DUPLICATE_PROMPT: same canonical form as a base, a candidate or another variant of the agent_type.
    - MEANING_CHANGED: see ``meaning_changed``.
    - TOO_CLOSE: under ``min_distance`` from the base or from a kept variant of it.
    - TOO_FAR: over ``max_distance`` from the base.
    - NEARER_TO_ANOTHER_BASE: another base or candidate of the agent_type is nearer than the base, and its answer is not
      ``equivalent`` to that of the base.
    - NO_RESPONSE: the base has no answer, and ``answers_of`` has none for the variant.
    - EMPTY_RESPONSE, RESPONSE_TOO_LARGE, PERSONAL: of an answer of ``answers_of``. It is asked after all other filters,
      because its answers may be paid for.

    ``written``: the variants of each base. ``bases``: all bases of the day; those of ``written`` are added in any case.
    ``candidates``: golden first. Memory: the vectors of the variants of one agent_type, and those of
    ``variant_neighbours``.
    """
    excluded = Counts()
    by_agent_type: dict[str, list[tuple[BaseQuery, Sequence[str]]]] = defaultdict(list)
    for base, texts in written:
        by_agent_type[base.agent_type].append((base, texts))
    known = _known_prompts([*bases, *(base for base, _ in written)], candidates, by_agent_type.keys())
    passed: dict[tuple[str, str], tuple[_Undecided, float]] = {}
    limits = (min_distance, max_distance)
    for agent_type, of_agent_type in by_agent_type.items():
        undecided = _filter_by_words(of_agent_type, known[agent_type], excluded)
        for variant, distance in _filter_by_distance(
            undecided, known[agent_type], limits, vectors_of, equivalent, excluded
        ):
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
        reason = _response_exclusion(response, max_response_bytes) if generated else None
        if reason is not None or response is None:
            excluded[reason or ExclusionReason.NO_RESPONSE] += 1
            continue
        cost = known[base.agent_type][base.entry_id].cost_usd
        kept.append(Variant(base, variant.prompt, response.strip(), distance, generated, cost))
    return FilteredVariants(kept, +excluded)


def meaning_changed(base: Tokens, variant: Tokens) -> bool:
    """Whether the words of a variant ask for something else than those of its base.

    That is so for other numbers, versions, negations or names; for two words that changed places ("from A to B"); for a
    word of _TURNING; and, where nearly all words are the same, for another order or another word.

    The order of words counts only in that last case, because a question that became a command also has another order:
    one in four of the recorded variants has one, and of these only one in twenty asks for something else.
    """
    shared = len(base.all & variant.all)
    if shared < NEARLY_THE_SAME * len(base.all | variant.all):
        changed = contradiction(replace(base, order=()), replace(variant, order=()))
    else:
        changed = contradiction(base, variant)
    return changed is not None or exchanged(base, variant) or bool((base.all ^ variant.all) & _TURNING)


def _known_prompts(
    bases: Sequence[BaseQuery], candidates: Sequence[pa.Table], agent_types: Iterable[str]
) -> dict[str, dict[str, KnownPrompt]]:
    """By agent_type and entry_id. A candidate in both tables has the answer of the first table and the first known
    cost."""
    known: dict[str, dict[str, KnownPrompt]] = {agent_type: {} for agent_type in agent_types}
    for table in candidates:
        for row in table.select(["entry_id", "agent_type", "prompt", "response", "cost_usd"]).to_pylist():
            of_agent_type = known.get(row["agent_type"])
            if of_agent_type is None:
                continue
            prompt = KnownPrompt(row["prompt"], row["response"], row["cost_usd"])
            first = of_agent_type.setdefault(row["entry_id"], prompt)
            if first.cost_usd is None and row["cost_usd"] is not None:
                of_agent_type[row["entry_id"]] = replace(first, cost_usd=row["cost_usd"])
    for base in bases:
        if base.agent_type in known:
            known[base.agent_type].setdefault(base.entry_id, KnownPrompt(base.prompt, base.response, None))
    return known


def _filter_by_words(
    written: Sequence[tuple[BaseQuery, Sequence[str]]], known: Mapping[str, KnownPrompt], excluded: Counts
) -> list[_Undecided]:
    """The variants that no filter over their words excludes."""
    undecided = []
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
                undecided.append(_Undecided(base, prompt))
    return undecided


def _filter_by_distance(
    undecided: Sequence[_Undecided],
    known: Mapping[str, KnownPrompt],
    limits: tuple[float, float],
    vectors_of: VectorsOf,
    equivalent: Equivalent,
    excluded: Counts,
) -> list[tuple[_Undecided, float]]:
    """The variants that no filter over their vectors excludes, with the distance to their base. ``limits``: the least
    and the greatest distance."""
    if not undecided:
        return []
    least, greatest = limits
    bases = list({variant.base.entry_id: variant.base.prompt for variant in undecided}.items())
    row_of = {id: row for row, (id, _) in enumerate(bases)}
    base_rows = np.array([row_of[variant.base.entry_id] for variant in undecided])
    vectors = vectors_of([variant.prompt for variant in undecided])
    to_base = (vectors * vectors_of([prompt for _, prompt in bases])[base_rows]).sum(1)
    distance = np.maximum(0.0, 1.0 - to_base)
    inside = np.flatnonzero((distance >= least) & (distance <= greatest))
    nearer = np.zeros(len(undecided), bool)
    nearer[inside] = nearer_to_another(
        [undecided[i].base for i in inside.tolist()], vectors[inside], to_base[inside], known, vectors_of, equivalent
    )
    kept_of: dict[str, list[int]] = defaultdict(list)
    kept = []
    for i, variant in enumerate(undecided):
        siblings = kept_of[variant.base.entry_id]
        near_sibling = bool(siblings) and float((vectors[siblings] @ vectors[i]).max()) > 1 - least
        if distance[i] < least or near_sibling:
            excluded[ExclusionReason.TOO_CLOSE] += 1
        elif distance[i] > greatest:
            excluded[ExclusionReason.TOO_FAR] += 1
        elif nearer[i]:
            excluded[ExclusionReason.NEARER_TO_ANOTHER_BASE] += 1
        else:
            siblings.append(i)
            kept.append((variant, float(distance[i])))
    return kept


def _response_exclusion(response: str | None, max_bytes: int) -> ExclusionReason | None:
    if response is None:
        return ExclusionReason.NO_RESPONSE
    if not response.strip():
        return ExclusionReason.EMPTY_RESPONSE
    if len(response.encode("utf-8", "surrogatepass")) > max_bytes:
        return ExclusionReason.RESPONSE_TOO_LARGE
    return ExclusionReason.PERSONAL if find_personal_data(response) else None
