"""Every intent of the sample with its wordings and answers: a pure function of the random seed.

Questions with special rules are in special_intents.py, contents that agents analyse in golden_tables.py, one-off
questions in one_off_questions.py.
"""

from random import Random

from cachewarm_pipeline.embedded.sample import special_intents, word_lists
from cachewarm_pipeline.embedded.sample.code_places import code_place, evidence
from cachewarm_pipeline.embedded.sample.free_text_answers import log_answers
from cachewarm_pipeline.embedded.sample.intent_types import Intent
from cachewarm_pipeline.embedded.sample.rewording import random_of, rewordings, slug, surfaces, upper_first
from cachewarm_pipeline.embedded.sample.word_lists import Agent, Subject, cells, detail_lists, lines

TRAPS_PER_AGENT = {"negation": 5, "version": 4, "swap": 3, "language": 2}
"""Groups of look-alike questions per agent and kind: 5 x 2, 4 x 2, 3 x 2 and 2 x 3 intents."""

OTHER_NAMES = 3
"""Number of wordings that may use the subject's other name."""


def _details(subject: Subject, rng: Random) -> dict[str, str]:
    """The values of a template's slots, drawn once per intent."""
    policy_a, policy_b = rng.sample(detail_lists()["policies"], 2)
    numbers = {name: str(rng.randint(low, high)) for name, low, high in (("n", 3, 48), ("m", 2, 29), ("days", 2, 60))}
    return {
        **{name: getattr(subject, name) for name in ("cause", "harm", "fix", "check", "tool")},
        **numbers,
        "s": subject.name,
        "Fix": upper_first(subject.fix),
        "Check": upper_first(subject.check),
        "unit": rng.choice(detail_lists()["units"]),
        "when": rng.choice(detail_lists()["whens"]),
        "rank": str(rng.randint(1, 5)),
        "policy_a": policy_a,
        "policy_b": policy_b,
    }


def _neighbour(agent: Agent, subject: Subject, slots: dict[str, str], rng: Random) -> dict[str, str]:
    """The facts of another subject and other numbers, for the near misses."""
    other = rng.choice([one for one in agent.subjects if one != subject])
    numbers = {name: str(int(slots[name]) + rng.randint(3, 40)) for name in ("n", "m", "days")}
    rank = str(int(slots["rank"]) % 5 + 1)
    facts = {name: getattr(other, name) for name in ("cause", "harm", "fix", "check", "tool")}
    return {f"{name}2": text for name, text in {**facts, **numbers, "rank": rank}.items()}


def _ordinary(seed: int, agent: Agent) -> list[Intent]:
    found = []
    for subject in agent.subjects:
        for aspect in agent.aspects:
            id = f"{slug(agent.name)}/{slug(subject.name)}/{aspect}"
            rng = random_of(seed, id)
            phrases = word_lists.phrases(agent.family, aspect)
            asks = phrases.asks or agent.leads
            named = [ask.format(s=subject.name) for ask in asks]
            other = [ask.format(s=subject.alias) for ask in asks]
            others = rng.sample(other, OTHER_NAMES)
            count = min(rng.randint(5, 12), len(named) + len(others))
            wordings = [rng.choice(named)]
            rest = [text for text in dict.fromkeys([*named, *others]) if text != wordings[0]]
            wordings += rng.sample(rest, count - 1)
            slots, place = _details(subject, rng), code_place(rng)
            texts = rewordings(
                [text.format(**slots) for text in phrases.summaries],
                [*((a.format(**slots), b.format(**slots)) for a, b in phrases.recommendations), evidence(place)],
                rng.choice(detail_lists()["severities"]),
                rng.choice((2, 3, 3, 4)),
            )
            typed = tuple(surfaces(wordings, rng))
            slots |= _neighbour(agent, subject, slots, rng)
            answers, misses = log_answers(agent, id, f"{agent.family}/{aspect}", texts, slots, place, rng)
            found.append(Intent(id, agent.name, "stable", count, typed, answers, near_misses=misses))
    return found


def _trap_members(kind: str, line: str) -> list[tuple[dict[str, str], str, str, str]]:
    """(slots of the question, name, opening of the answer, "clause | what to do") of each member of a trap."""
    sides = cells(line, "||")
    members = []
    for position, side in enumerate(sides):
        head, *rest = cells(side)
        if kind == "negation":
            head = cells(sides[0])[0]
            clause = rest if position == 0 else [cells(side)[0], *rest]
            slots = {"x": head, "not": "not " if position else ""}
            name, opening = f"{'not ' if position else ''}{head}", f"Do not {head}" if position else f"Yes, {head}"
        elif kind == "version":
            slots, clause, name, opening = {"x": head}, rest, head, head
        else:
            a, b = cells(head, ",")
            slots = {"a": a, "b": b} if kind == "swap" else {"t": a, "l": b}
            clause, name, opening = rest, f"{a} {b}", f"From {a} to {b}" if kind == "swap" else f"In {b}"
        members.append((slots, name, opening, " | ".join(clause)))
    return members


def _traps(seed: int, agent: Agent) -> list[Intent]:
    found: list[Intent] = []
    for kind, number in TRAPS_PER_AGENT.items():
        table = word_lists.load("look_alike_questions")[kind]
        groups = random_of(seed, agent.name, kind).sample(lines(table["groups"]), number)
        for line in groups:
            members = _trap_members(kind, line)
            ids = [f"{slug(agent.name)}/{kind}/{slug(name)}" for _, name, _, _ in members]
            # The whole group uses the same wordings in the same order, so its members look alike in each of them.
            shared = random_of(seed, ids[0])
            asks = shared.sample(table["asks"], shared.randint(5, len(table["asks"])))
            for number, (id, (slots, _, opening, text)) in enumerate(zip(ids, members, strict=True)):
                rng = random_of(seed, id, "answer")
                clause, todo = cells(text)
                other_clause, other_todo = cells(members[(number + 1) % len(members)][3])
                unit, place = rng.choice(detail_lists()["units"]), code_place(rng)
                texts = rewordings(
                    [
                        f"{opening}: {clause}.",
                        f"{opening}; the reason is that {clause}.",
                        f"{opening}, because {clause}.",
                    ],
                    [
                        (todo, f"Our advice: {todo}"),
                        (f"Begin with {unit}", f"{unit} should go first"),
                        evidence(place),
                    ],
                    rng.choice(detail_lists()["severities"]),
                    rng.choice((2, 3, 3)),
                )
                typed = tuple(surfaces([ask.format(**slots) for ask in asks], rng, protected=tuple(slots.values())))
                claim_slots = {
                    **slots, "opening": opening, "clause": clause, "todo": todo, "unit": unit,
                    "other_clause": other_clause, "other_todo": other_todo,
                }  # fmt: skip
                answers, misses = log_answers(agent, id, f"look_alike/{kind}", texts, claim_slots, place, rng)
                near = tuple(other for other in ids if other != id)
                found.append(Intent(id, agent.name, f"trap_{kind}", len(asks), typed, answers, near, misses))
    return found


def build_intents(seed: int) -> list[Intent]:
    """All intents of a random seed except those of contents, in a fixed order."""
    found: list[Intent] = []
    everyone = word_lists.agents()
    for agent in everyone:
        found += _ordinary(seed, agent)
        if agent.traps:
            found += [*_traps(seed, agent), *special_intents.asked_by(seed, agent)]
    return [*found, *special_intents.foreign(everyone[0]), special_intents.poison(everyone[0])]
