"""The long tail: questions that are asked once, assembled from fragments by vector operations.

Each question has a code, an integer made from its fragments. Cause and remedy follow from a hash of the code. So a
question that happens to come twice has the same answer, and nothing has to be remembered.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cachewarm_pipeline.embedded.sample import word_lists
from cachewarm_pipeline.embedded.sample.intent_catalogue import Catalogue
from cachewarm_pipeline.embedded.sample.rewording import upper_first

QUESTIONS = (
    "Do you know why {fn} in {module} {symptom} since {event}?",
    "{module} line {number}: {fn} {symptom}, what is wrong?",
    "Ticket {number}: {fn} {symptom} since {event}, find the reason",
    "Review commit {number} in {module}",
    # The last two are near to intents and still have their own answers.
    "Check {module} for {subject}, ticket {number}",
    "How do we fix {subject} in {fn} of {module}?",
)

JSON_ANSWERS = (
    '{{"summary": "{fn} in {module} {symptom}: {cause}.", "recommendations": ["{Remedy}", '
    '"Cover line {line} of {module} with a test"], "severity": "{severity}"}}',
    '{{"severity": "{severity}", "summary": "Reason found, {cause}; so {fn} in {module} {symptom}.", '
    '"recommendations": ["To repair it, {remedy}", "Add a test for line {line} of {module}"]}}',
)

ANSWERS = (
    "{fn} in {module} {symptom}, because {cause}. {Remedy}, and cover line {line} with a test.",
    "Found it: {cause}. That is why {fn} in {module} {symptom}. To repair it, {remedy}. Line {line} lacks a test.",
    "1. Symptom: {fn} in {module} {symptom}\n2. Cause: {cause}\n3. Remedy: {remedy}\n4. Test: line {line}",
    "The reason is near line {line} of {module}: {cause}. As a consequence, {fn} {symptom}. I would {remedy}.",
    "I would {remedy}. At the moment {cause}, so {fn} {symptom}. Have a look at line {line} of {module}, please.",
    "Thanks for the pointer. Line {line} of {module} is where things go wrong, as {cause}. Users only see that {fn} "
    "{symptom}. The remedy is short: {remedy}. It should not change anything for other callers.",
)

_NUMBERS = 90_000


@dataclass(frozen=True)
class OneOffs:
    """Questions with their answers, in the order of the agents given."""

    queries: pa.Array
    responses: pa.Array
    ids: pa.Array


def _join(template: str, values: dict[str, pa.Array]) -> pa.Array:
    """The template, filled for all rows at once."""
    pieces: list[pa.Array | str] = []
    for part in template.replace("{{", "\0").replace("}}", "\1").split("{"):
        name, mark, rest = part.rpartition("}")
        if mark:
            pieces.append(values[name])
        pieces.append((rest if mark else part).replace("\0", "{").replace("\1", "}"))
    size = len(next(iter(values.values())))
    arrays = [piece if isinstance(piece, pa.Array) else pa.repeat(piece, size) for piece in pieces if len(piece)]
    return pc.binary_join_element_wise(*arrays, "")


def _mixed(code: np.ndarray) -> np.ndarray:
    """A well-spread hash of whole numbers (the finaliser of MurmurHash3)."""
    mixed = code.astype(np.uint64)
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        mixed = (mixed ^ (mixed >> np.uint64(33))) * np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(33))


def _uses(name: str) -> np.ndarray:
    return np.array([f"{{{name}}}" in question for question in QUESTIONS])


def draw_one_offs(cat: Catalogue, rng: np.random.Generator, agent: np.ndarray) -> OneOffs:
    """One question for each element of ``agent`` (numbers of agents). Memory: a few hundred bytes per row."""
    place = word_lists.fragments()
    modules = pa.array([f"{a}/{b}{c}" for a in place["folders"] for b in place["files"] for c in place["extensions"]])
    subjects = [[subject.name for subject in one.subjects] for one in word_lists.agents()]
    sizes = np.array([len(names) for names in subjects])
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    size = len(agent)
    draws = {
        "module": rng.integers(len(modules), size=size),
        "fn": rng.integers(len(place["functions"]), size=size),
        "symptom": rng.integers(len(place["symptoms"]), size=size),
        "event": rng.integers(len(place["events"]), size=size),
        "number": rng.integers(10_000, 10_000 + _NUMBERS, size=size),
        "subject": starts[agent] + rng.integers(1 << 30, size=size) % sizes[agent],
    }
    # A mixed-radix number; the product of all stays under 2**63.
    base = {
        "module": len(modules),
        "fn": 64,
        "symptom": 64,
        "event": 64,
        "number": 100_000,
        "subject": int(sizes.sum()),
    }
    kind = rng.integers(len(QUESTIONS), size=size)
    code = kind * len(subjects) + agent
    for name, radix in base.items():
        code = code * radix + np.where(_uses(name)[kind], draws[name], 0)
    mixed = _mixed(code)
    answer = (mixed % np.uint64(len(place["causes"]))).astype(np.int64)
    # An answer also names fragments that the question does not contain; they follow from the code as well.
    for shift, name, choices in ((8, "fn", "functions"), (16, "symptom", "symptoms"), (24, "module", None)):
        other = (mixed >> np.uint64(shift)) % np.uint64(len(place[choices]) if choices else len(modules))
        draws[name] = np.where(_uses(name)[kind], draws[name], other.astype(np.int64))
    lists = {
        "module": modules,
        "fn": pa.array(place["functions"]),
        "symptom": pa.array(place["symptoms"]),
        "event": pa.array(place["events"]),
        "subject": pa.array([name for names in subjects for name in names]),
        "cause": pa.array(place["causes"]),
        "remedy": pa.array(place["remedies"]),
        "Remedy": pa.array([upper_first(text) for text in place["remedies"]]),
        "severity": pa.array(word_lists.detail_lists()["severities"]),
    }
    picks = {
        **draws,
        "cause": answer,
        "remedy": answer,
        "Remedy": answer,
        "severity": ((mixed >> np.uint64(32)) % np.uint64(4)).astype(np.int64),
        "line": ((mixed >> np.uint64(40)) % np.uint64(990)).astype(np.int64) + 3,
    }
    # The texts in JSON follow those in free text.
    in_json = np.array([one.json_answers for one in word_lists.agents()])[agent]
    draw = rng.random(size)
    wording = np.where(in_json, len(ANSWERS) + draw * len(JSON_ANSWERS), draw * len(ANSWERS)).astype(np.int64)
    return OneOffs(
        queries=_filled(QUESTIONS, kind, picks, lists),
        responses=_filled((*ANSWERS, *JSON_ANSWERS), wording, picks, lists),
        ids=pc.binary_join_element_wise(
            "one_off", cat.agents.take(pa.array(agent)), pa.array(mixed).cast("string"), "/"
        ),
    )


def _filled(
    templates: tuple[str, ...], which: np.ndarray, picks: dict[str, np.ndarray], lists: dict[str, pa.Array]
) -> pa.Array:
    """Texts: row i is template ``which[i]`` with its slots filled by ``picks``."""
    order = np.argsort(which, kind="stable")
    parts = []
    for number, template in enumerate(templates):
        rows = np.flatnonzero(which == number)
        values = {
            name: lists[name].take(pa.array(index[rows])) if name in lists else pa.array(index[rows]).cast("string")
            for name, index in picks.items()
            if f"{{{name}}}" in template
        }
        if len(rows):
            parts.append(_join(template, values))
    back = np.empty(len(which), np.int64)
    back[order] = np.arange(len(which))
    return pa.concat_arrays(parts).take(pa.array(back)) if parts else pa.array([], pa.string())
