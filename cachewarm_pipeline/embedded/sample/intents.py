"""Every intent of the sample with its wordings and answers: a pure function of the random seed.

Contents that agents analyse are in golden_tables.py, one-off questions in one_off_questions.py.
"""

from dataclasses import dataclass
from random import Random

from cachewarm_pipeline.embedded.sample import word_lists
from cachewarm_pipeline.embedded.sample.rewording import answer_json, rewordings, slug, surfaces, upper_first
from cachewarm_pipeline.embedded.sample.word_lists import Agent, Subject, cells, detail_lists, lines

TRAPS_PER_AGENT = {"negation": 5, "version": 4, "swap": 3, "language": 2}
"""Groups of look-alike questions per agent and kind: 5 x 2, 4 x 2, 3 x 2 and 2 x 3 intents."""

OTHER_NAMES = 3
"""Number of wordings that may use the subject's other name."""

VOLATILE_STATES = 24
"""Number of answers of a volatile intent: a call is unlikely to repeat the previous answer."""


@dataclass(frozen=True)
class Answer:
    """One right answer and all texts that give it."""

    id: str
    responses: tuple[str, ...]


@dataclass(frozen=True)
class Intent:
    """One question, whatever its wording. ``near``: ids of the other intents of the same trap."""

    id: str
    agent_type: str
    kind: str  # stable | trap_* | volatile | personal | poison | content | foreign
    wordings: int  # number of plain wordings: they are the first surfaces, the rest is noise on them
    surfaces: tuple[tuple[str, float], ...]  # (text, share of the intent's rows)
    answers: tuple[Answer, ...]
    near: tuple[str, ...] = ()


def _random(seed: int, *parts: object) -> Random:
    return Random("/".join(map(str, (seed, *parts))))


def evidence(rng: Random) -> tuple[str, str]:
    """A place in the code that an answer points to, in two wordings. Every answer has its own place."""
    place = word_lists.fragments()
    slots = {
        "fn": rng.choice(place["functions"]),
        "path": f"{rng.choice(place['folders'])}/{rng.choice(place['files'])}{rng.choice(place['extensions'])}",
        "line": rng.randint(3, 990),
    }
    first, other = (text.format(**slots) for text in detail_lists()["evidence"])
    return first, other


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


def _ordinary(seed: int, agent: Agent) -> list[Intent]:
    found = []
    for subject in agent.subjects:
        for aspect in agent.aspects:
            id = f"{slug(agent.name)}/{slug(subject.name)}/{aspect}"
            rng = _random(seed, id)
            phrases = word_lists.phrases(agent.family, aspect)
            asks = phrases.asks or agent.leads
            named = [ask.format(s=subject.name) for ask in asks]
            other = [ask.format(s=subject.alias) for ask in asks]
            others = rng.sample(other, OTHER_NAMES)
            count = min(rng.randint(5, 12), len(named) + len(others))
            wordings = [rng.choice(named)]
            rest = [text for text in dict.fromkeys([*named, *others]) if text != wordings[0]]
            wordings += rng.sample(rest, count - 1)
            slots = _details(subject, rng)
            texts = rewordings(
                [text.format(**slots) for text in phrases.summaries],
                [*((a.format(**slots), b.format(**slots)) for a, b in phrases.recommendations), evidence(rng)],
                rng.choice(detail_lists()["severities"]),
                rng.choice((2, 3, 3, 4)),
            )
            typed = tuple(surfaces(wordings, rng))
            found.append(Intent(id, agent.name, "stable", count, typed, (Answer(f"{id}#1", texts),)))
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
        groups = _random(seed, agent.name, kind).sample(lines(table["groups"]), number)
        for line in groups:
            members = _trap_members(kind, line)
            ids = [f"{slug(agent.name)}/{kind}/{slug(name)}" for _, name, _, _ in members]
            # The whole group uses the same wordings in the same order, so its members look alike in each of them.
            shared = _random(seed, ids[0])
            asks = shared.sample(table["asks"], shared.randint(5, len(table["asks"])))
            for id, (slots, _, opening, text) in zip(ids, members, strict=True):
                rng = _random(seed, id, "answer")
                clause, todo = cells(text)
                unit = rng.choice(detail_lists()["units"])
                texts = rewordings(
                    [
                        f"{opening}: {clause}.",
                        f"{opening}; the reason is that {clause}.",
                        f"{opening}, because {clause}.",
                    ],
                    [(todo, f"Our advice: {todo}"), (f"Begin with {unit}", f"{unit} should go first"), evidence(rng)],
                    rng.choice(detail_lists()["severities"]),
                    rng.choice((2, 3, 3)),
                )
                typed = surfaces([ask.format(**slots) for ask in asks], rng, protected=tuple(slots.values()))
                near = tuple(other for other in ids if other != id)
                found.append(
                    Intent(id, agent.name, f"trap_{kind}", len(asks), tuple(typed), (Answer(f"{id}#1", texts),), near)
                )
    return found


def _volatile(seed: int, agent: Agent) -> list[Intent]:
    table = word_lists.load("special_questions")["volatile"]
    rng = _random(seed, agent.name, "volatile")
    states = [cells(line) for line in lines(table["states"])]
    found = []
    for line in rng.sample(lines(table["asks"]), 3):
        wordings = cells(line, " / ")
        id = f"{slug(agent.name)}/volatile/{slug(wordings[0])}"
        answers = []
        for state in range(VOLATILE_STATES):
            summary, todo = states[state % len(states)]
            slots = {"n": rng.randint(1000, 9999), "m": rng.randint(2, 39), "h": rng.randint(0, 23)}
            text = answer_json(
                summary.format(**slots), [todo.format(**slots)], rng.choice(detail_lists()["severities"])
            )
            answers.append(Answer(f"{id}#{state + 1}", (text,)))
        typed = tuple(surfaces(wordings, rng))
        found.append(Intent(id, agent.name, "volatile", len(wordings), typed, tuple(answers)))
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
    rng = _random(seed, agent.name, "personal")
    found = []
    for number, (ask, answer) in enumerate(rng.sample(pairs, 4)):
        fakes = _fakes(rng)
        wordings = [text.format(**fakes) for text in cells(ask, " / ")]
        summary, todo = cells(answer)
        id = f"{slug(agent.name)}/personal/{number + 1}"
        texts = rewordings(
            [summary, f"We looked: {summary[0].lower()}{summary[1:]}"],
            [(todo, f"Please {todo[0].lower()}{todo[1:]}"), evidence(rng)],
            "low",
            2,
        )
        typed = tuple(surfaces(wordings, rng, noise=False))
        found.append(Intent(id, agent.name, "personal", len(wordings), typed, (Answer(f"{id}#1", texts),)))
    return found


def _foreign(agent: Agent) -> list[Intent]:
    found = []
    for number, line in enumerate(lines(word_lists.load("special_questions")["foreign"]["groups"])):
        ask, summary, todo = cells(line)
        wordings = cells(ask, " / ")
        id = f"{slug(agent.name)}/foreign/{number + 1}"
        texts = (answer_json(summary, [todo], "medium"), answer_json(summary, [todo, "→ OK"], "medium"))
        typed = tuple(surfaces(wordings, Random(0), noise=False))
        found.append(Intent(id, agent.name, "foreign", len(wordings), typed, (Answer(f"{id}#1", texts),)))
    return found


def _poison(agent: Agent) -> Intent:
    table = word_lists.load("special_questions")["poison"]
    id = f"{slug(agent.name)}/poison/1"
    text = answer_json(table["summary"], [table["do"]], "low")
    return Intent(id, agent.name, "poison", 1, ((table["ask"], 1.0),), (Answer(f"{id}#1", (text,)),))


def build_intents(seed: int) -> list[Intent]:
    """All intents of a random seed except those of contents, in a fixed order."""
    found: list[Intent] = []
    everyone = word_lists.agents()
    for agent in everyone:
        found += _ordinary(seed, agent)
        if agent.traps:
            found += [*_traps(seed, agent), *_volatile(seed, agent), *_personal(seed, agent)]
    return [*found, *_foreign(everyone[0]), _poison(everyone[0])]
