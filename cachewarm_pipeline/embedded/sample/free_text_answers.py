"""Answers in free text, as models word them: wordings of each right answer, and near misses.

Reads ``answers_*.toml``. Some tables belong to one question, the others to all questions of a kind; their slots are
filled with the facts of the intent. Pure.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from cachewarm_pipeline.embedded.sample import word_lists
from cachewarm_pipeline.embedded.sample.code_places import in_words
from cachewarm_pipeline.embedded.sample.intent_types import Answer
from cachewarm_pipeline.embedded.sample.rewording import upper_first
from cachewarm_pipeline.embedded.sample.word_lists import Agent

FILES = (
    "security", "performance", "testing", "database", "planning", "documentation", "look_alikes", "volatile",
    "look_alikes_general", "general",
)  # fmt: skip
"""The files ``answers_*.toml``. The last two have the tables that many questions share."""

_POLITE = ("happy", "please", "thanks", "sure", "of course", "good ", "here ", "looking")
"""Beginnings to which no polite phrase is added."""


@dataclass(frozen=True)
class AnswerTexts:
    """The texts about one question, or about one kind of question."""

    answers: tuple[str, ...]
    """Wordings of the right answer: one claim."""
    near_misses: tuple[str, ...]
    """Texts that are close to it. Each makes another claim, or none."""
    facts: tuple[tuple[str, ...], ...]
    """What every wording says: one of the alternatives of each fact."""
    in_order: tuple[str, ...]
    """Words whose order is part of the claim."""


@functools.cache
def texts() -> dict[str, AnswerTexts]:
    """All texts by the name of their table."""
    found: dict[str, AnswerTexts] = {}
    for file in FILES:
        for name, table in word_lists.load(f"answers_{file}").items():
            if "answers" in table:
                found[name] = AnswerTexts(
                    tuple(table["answers"]),
                    tuple(table["near_misses"]),
                    tuple(word_lists.cells(fact) for fact in table["facts"]),
                    tuple(table.get("in_order", ())),
                )
    return found


def texts_of(id: str, general: str) -> AnswerTexts:
    """The texts of an intent by its id, with or without the agent type; if it has none of its own, those of its
    kind."""
    own = texts()
    return own.get(id) or own.get(id.partition("/")[2]) or own[general]


def has_own_texts(id: str) -> bool:
    """Whether texts were written for this very intent."""
    return not {id, id.partition("/")[2]}.isdisjoint(texts())


def filled(templates: Sequence[str], slots: Mapping[str, str]) -> tuple[str, ...]:
    """The templates with their slots filled. A slot whose name begins in upper case begins a sentence."""
    both = {**{upper_first(name): upper_first(value) for name, value in slots.items()}, **slots}
    return tuple(template.format(**both) for template in templates)


def right_answer(id: str, general: str, slots: Mapping[str, str], rng: Random) -> Answer:
    """The right answer of an intent: its wordings in random order, and two of them again with a polite phrase or a
    harmless detail. ``slots["place"]``: the place in the code that such a detail names."""
    wordings = list(filled(texts_of(id, general).answers, slots))
    rng.shuffle(wordings)
    manners = word_lists.load("answers_general")["manners"]
    # A list does not go into a sentence. An answer about one question says itself where to look.
    plain = [text for text in wordings if "\n" not in text and not text.casefold().startswith(_POLITE)]
    frame = rng.choice(manners["frames"])
    other = rng.choice([one for one in manners["frames"] if one != frame])
    detail = other if has_own_texts(id) else rng.choice(manners["places"])
    for template, text in zip((frame, detail), rng.sample(plain, 2), strict=True):
        wordings.append(template.format(text=text, place=slots["place"]))
    return Answer(f"{id}#1", tuple(wordings), free_text=True)


def near_misses(id: str, general: str, slots: Mapping[str, str]) -> tuple[Answer, ...]:
    """The near misses of an intent. Each is an answer with an id of its own."""
    found = filled(texts_of(id, general).near_misses, slots)
    return tuple(Answer(f"{id}#miss-{number}", (text,), free_text=True) for number, text in enumerate(found, 1))


def log_answers(
    agent: Agent,
    id: str,
    general: str,
    json_texts: tuple[str, ...],
    slots: Mapping[str, str],
    place: Mapping[str, object],
    rng: Random,
) -> tuple[tuple[Answer, ...], tuple[Answer, ...]]:
    """The right answer of an intent as its agent writes it to the log, and its near misses. An agent that answers in
    JSON gives ``json_texts`` and has no near misses."""
    if agent.json_answers:
        return (Answer(f"{id}#1", json_texts),), ()
    claim_slots = {**slots, "place": in_words(place)}
    return (right_answer(id, general, claim_slots, rng),), near_misses(id, general, claim_slots)


def plain_forms(summary: str, todo: str) -> tuple[str, ...]:
    """An answer of two sentences in forms that suit any language."""
    return (
        f"{summary} {todo}.",
        f"{todo}. {summary}",
        f"1. {summary}\n2. {todo}",
        f"{summary}\n\n{todo} ✅",
        f"**{summary}**\n- {todo}",
        f"{summary} → {todo}",
    )
