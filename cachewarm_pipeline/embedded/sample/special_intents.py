"""Questions with special rules: answers that change between calls, personal queries, other languages, one poisoner."""

from random import Random

from cachewarm_pipeline.embedded.sample import word_lists
from cachewarm_pipeline.embedded.sample.code_places import code_place, evidence
from cachewarm_pipeline.embedded.sample.free_text_answers import filled, log_answers, plain_forms, texts
from cachewarm_pipeline.embedded.sample.intent_types import Answer, Intent
from cachewarm_pipeline.embedded.sample.rewording import (
    answer_json,
    lower_first,
    random_of,
    rewordings,
    slug,
    surfaces,
)
from cachewarm_pipeline.embedded.sample.word_lists import Agent, cells, detail_lists, lines

VOLATILE_STATES = 24
"""Number of answers of a volatile intent: a call is unlikely to repeat the previous answer."""


def asked_by(seed: int, agent: Agent) -> list[Intent]:
    """The volatile and the personal questions of an agent."""
    return [*_volatile(seed, agent), *_personal(seed, agent)]


def _states(id: str, rng: Random) -> list[tuple[str, ...]]:
    """The texts of each state. One in four has the good news in all its wordings, the others are its near misses."""
    own = texts()[id.partition("/")[2]]
    numbers, counts = rng.sample(range(1000, 10_000), VOLATILE_STATES), rng.sample(range(2, 60), VOLATILE_STATES)
    found = []
    for state in range(VOLATILE_STATES):
        slots = {
            "n": numbers[state], "k": counts[state], "m": rng.randint(2, 39), "h": rng.randint(0, 23),
            "c": f"{52 + state}.{rng.randint(0, 9)}",
        }  # fmt: skip
        kind = state % (1 + len(own.near_misses))
        templates = own.near_misses[kind - 1 : kind] if kind else own.answers
        found.append(filled(templates, {name: str(value) for name, value in slots.items()}))
    return found


def _json_states(rng: Random) -> list[tuple[str, ...]]:
    states = [cells(line) for line in lines(word_lists.load("special_questions")["volatile"]["states"])]
    found: list[tuple[str, ...]] = []
    for state in range(VOLATILE_STATES):
        summary, todo = states[state % len(states)]
        slots = {"n": rng.randint(1000, 9999), "m": rng.randint(2, 39), "h": rng.randint(0, 23)}
        severity = rng.choice(detail_lists()["severities"])
        found.append((answer_json(summary.format(**slots), [todo.format(**slots)], severity),))
    return found


def _volatile(seed: int, agent: Agent) -> list[Intent]:
    rng = random_of(seed, agent.name, "volatile")
    found = []
    for line in rng.sample(lines(word_lists.load("special_questions")["volatile"]["asks"]), 3):
        wordings = cells(line, " / ")
        id = f"{slug(agent.name)}/volatile/{slug(wordings[0])}"
        states = _json_states(rng) if agent.json_answers else _states(id, rng)
        answers = tuple(
            Answer(f"{id}#{number}", texts, not agent.json_answers) for number, texts in enumerate(states, 1)
        )
        typed = tuple(surfaces(wordings, rng))
        found.append(Intent(id, agent.name, "volatile", len(wordings), typed, answers))
    return found


def _fakes(rng: Random) -> dict[str, str]:
    """Fake personal values. They are assembled here, so that no file of the repository contains anything like a key."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

    def mixed(length: int) -> str:
        return "".join(rng.choice(letters + letters.lower()) for _ in range(length))

    def mail() -> str:
        people = (
            "ada.moss",
            "ben.okoro",
            "chloe.lund",
            "dario.pinto",
            "elif.kaya",
            "femi.ade",
            "greta.voss",
            "hugo.lam",
        )
        return f"{rng.choice(people)}{rng.randint(1, 99)}@example.com"

    digits = [4, *[1] * 5, *(rng.randint(0, 9) for _ in range(9))]
    doubled = (d if at % 2 else d * 2 - 9 * (d > 4) for at, d in enumerate(digits))
    digits.append(-sum(doubled) % 10)
    return {
        "email": mail(),
        "email2": mail(),
        "phone": f"+1 202-555-01{rng.randint(0, 99):02}",
        "ip": f"203.0.113.{rng.randint(1, 254)}",
        "card": " ".join("".join(map(str, digits[at : at + 4])) for at in range(0, 16, 4)),
        "awskey": "AK" + "IA" + "".join(rng.choice(letters) for _ in range(16)),
        "apikey": "sk" + "-" + mixed(40),
        "token": ".".join(("ey" + "J" + mixed(17), "ey" + "J" + mixed(30), mixed(43))),
    }


def _personal(seed: int, agent: Agent) -> list[Intent]:
    table = word_lists.load("special_questions")["personal"]
    pairs = list(zip(lines(table["asks"]), lines(table["answers"]), strict=True))
    rng = random_of(seed, agent.name, "personal")
    chosen = rng.sample(pairs, 4)
    found = []
    for number, (ask, answer) in enumerate(chosen):
        fakes = _fakes(rng)
        wordings = [text.format(**fakes) for text in cells(ask, " / ")]
        summary, todo = cells(answer)
        other_summary, other_todo = cells(chosen[number - 1][1])
        id, place = f"{slug(agent.name)}/personal/{number + 1}", code_place(rng)
        json_texts = rewordings(
            [summary, f"We looked: {lower_first(summary)}"],
            [(todo, f"Please {lower_first(todo)}"), evidence(place)],
            "low",
            2,
        )
        sentences = {"summary": summary, "todo": todo, "other_summary": other_summary, "other_todo": other_todo}
        clauses = {name: lower_first(text).rstrip(".") for name, text in sentences.items()}
        answers, misses = log_answers(agent, id, "personal", json_texts, clauses, place, rng)
        typed = tuple(surfaces(wordings, rng, noise=False))
        found.append(Intent(id, agent.name, "personal", len(wordings), typed, answers, near_misses=misses))
    return found


def foreign(agent: Agent) -> list[Intent]:
    """Questions and answers in other languages and scripts."""
    found = []
    for number, line in enumerate(lines(word_lists.load("special_questions")["foreign"]["groups"])):
        ask, summary, todo = cells(line)
        wordings = cells(ask, " / ")
        id = f"{slug(agent.name)}/foreign/{number + 1}"
        answer = Answer(f"{id}#1", plain_forms(summary, todo), free_text=True)
        typed = tuple(surfaces(wordings, Random(0), noise=False))
        found.append(Intent(id, agent.name, "foreign", len(wordings), typed, (answer,)))
    return found


def poison(agent: Agent) -> Intent:
    """A harmful answer that one user asks for again and again."""
    table = word_lists.load("special_questions")["poison"]
    id = f"{slug(agent.name)}/poison/1"
    answer = Answer(f"{id}#1", plain_forms(table["summary"], table["do"]), free_text=True)
    return Intent(id, agent.name, "poison", 1, ((table["ask"], 1.0),), (answer,))
