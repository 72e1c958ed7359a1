"""The golden tables of the sample: 98 analyses with 415 findings, and the questions that repeat their contents.

Everything except ``created_at`` is a pure function of the random seed. Most dates lie in a fixed past. The others are
the newest anniversaries up to the last day, so that some rows are always recent and only a few move in a month.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from random import Random

import pyarrow as pa

from cachewarm_pipeline.embedded.sample import word_lists
from cachewarm_pipeline.embedded.sample.code_places import code_place, evidence
from cachewarm_pipeline.embedded.sample.intent_types import Answer, Intent
from cachewarm_pipeline.embedded.sample.rewording import rewordings, slug, upper_first
from cachewarm_pipeline.embedded.sample.word_lists import Agent, detail_lists

ANALYSES, FINDINGS = 98, 415
"""The sizes of the golden data set that the project was created from."""

GOOD_SHARE = 0.66
"""Share of findings with a confidence of 0.8 or more."""

REVISED = 4
"""Number of pairs of contents that differ in one line and yet have different findings."""

_FIXED, _YEAR = date(2025, 1, 6), 364  # days in a cycle of anniversaries: whole weeks
_RECENT_FROM = 78  # analyses from this number on are repeated every year
_LONG_SHARE = 0.25
_FLAWS = {
    11: "broken_json", 58: "broken_json", 203: "broken_json", 23: "null_confidence", 150: "null_confidence",
    307: "null_confidence", 71: "confidence_over_1", 288: "confidence_over_1", 119: "negative_confidence",
    240: "nan_confidence", 174: "null_output", 331: "empty_output", 362: "no_analysis", 390: "no_analysis",
}  # fmt: skip

ANALYSES_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("url", pa.string()),
        ("content_preview", pa.string()),
        ("created_at", pa.timestamp("us", "UTC")),
    ]
)
FINDINGS_SCHEMA = pa.schema(
    [
        ("analysis_id", pa.string()),
        ("agent_type", pa.string()),
        ("output", pa.string()),
        ("confidence_score", pa.float64()),
    ]
)


@dataclass(frozen=True)
class Analysis:
    """One analysed content. ``preview`` is None or empty if the app failed to store it."""

    id: str
    url: str
    preview: str | None
    first_day: date | None
    recent: bool


@dataclass(frozen=True)
class Finding:
    """One finding. ``flaw`` names its deliberate fault, if it has one."""

    analysis_id: str
    agent_type: str
    answer_id: str
    output: str | None
    confidence: float | None
    flaw: str | None


@dataclass(frozen=True)
class Golden:
    """Both tables, all answers by agent_type, and one intent for each pair of a stored content and an agent_type."""

    analyses: tuple[Analysis, ...]
    findings: tuple[Finding, ...]
    answers: tuple[tuple[str, Answer], ...]
    intents: tuple[Intent, ...]


def _content(template: str, agent: Agent, rng: Random) -> str:
    place, subject = word_lists.fragments(), rng.choice(agent.subjects)
    stem, unit = f"{rng.choice(place['folders'])}/{rng.choice(place['files'])}", rng.choice(detail_lists()["units"])
    column = rng.choice(place["columns"])
    text = template.format(
        Title=upper_first(subject.name), unit=unit, Unit=upper_first(unit), s=subject.name, cause=subject.cause,
        harm=subject.harm, fix=subject.fix, stem=stem, fn=rng.choice(place["functions"]), col=column,
        COL=column.upper(), tbl=rng.choice(place["tables"]),
        year=rng.randint(2019, 2025), k=rng.randint(4, 900), v=rng.randint(20, 2000),
    )  # fmt: skip
    if rng.random() < _LONG_SHARE:
        lines = [
            f"{rng.randint(0, 23):02}:{rng.randint(0, 59):02} {rng.choice(place['functions'])} "
            f"{rng.choice(place['symptoms'])} in {rng.choice(place['folders'])} ({rng.randint(2, 9000)} ms)"
            for _ in range(rng.randint(18, 40))
        ]
        text += "\nExcerpt of the log:\n" + "\n".join(lines) + "\n"
    return text


def _analyses(rng: Random) -> list[Analysis]:
    templates = word_lists.load("question_fragments")["contents"]
    everyone = [agent for agent in word_lists.agents() if agent.traps]
    found: list[Analysis] = []
    for number in range(ANALYSES):
        agent = rng.choice(everyone)
        if number < 2 * REVISED and number % 2:
            preview = (found[-1].preview or "").replace("(QUERY_", "(RAW_").replace(", key)", " + key)")
        else:
            preview = _content(templates[1 if number < 2 * REVISED else rng.randrange(len(templates))], agent, rng)
        day = _FIXED + timedelta(days=rng.randrange(_YEAR))
        id = f"an-{number + 1:04}"
        url = f"https://example.com/reviews/{slug(preview.splitlines()[0].replace('#', ''))[:60]}-{number + 1}"
        found.append(Analysis(id, url, preview, day, number >= _RECENT_FROM))
    for number, preview_or_none, keeps_day in ((40, None, True), (61, "", True), (52, found[52].preview, False)):
        old = found[number]
        found[number] = Analysis(old.id, old.url, preview_or_none, old.first_day if keeps_day else None, old.recent)
    return found


def _confidence(rng: Random) -> float:
    good = rng.random() < GOOD_SHARE
    return round(rng.uniform(0.8, 0.99) if good else rng.uniform(0.32, 0.79), 3)


def _answer(analysis: Analysis, agent: Agent, number: int, rng: Random) -> Answer:
    """The answer of an agent about a content. ``number``: how many contents the agent had before; no two contents of an
    agent share both subject and reason."""
    subject = agent.subjects[number % len(agent.subjects)]
    reasons = word_lists.fragments()["causes"]
    at = number % len(reasons)  # 14 subjects and 24 reasons meet again after 168 contents
    reason, remedy = reasons[at], word_lists.fragments()["remedies"][at]
    unit = rng.choice(detail_lists()["units"])
    summaries = [
        f"In {unit} we see {subject.name}: {reason}.",
        f"{unit} shows {subject.name}, as {reason}.",
        f"{subject.name} in {unit}: {reason}.",
    ]
    advice = [
        (remedy, f"Best of all, {remedy}"),
        (f"Then {subject.check}", f"As a proof, {subject.check}"),
        evidence(code_place(rng)),
    ]
    id = f"content/{analysis.id}/{slug(agent.name)}#1"
    return Answer(id, rewordings(summaries, advice, rng.choice(detail_lists()["severities"]), rng.choice((2, 3))))


def build_golden(seed: int) -> Golden:
    """The golden tables of a random seed, and their intents."""
    rng = Random(f"{seed}/golden")
    analyses = _analyses(rng)
    everyone = [agent for agent in word_lists.agents() if agent.traps]
    answers: dict[tuple[int, str], Answer] = {}
    chosen: list[Agent] = []
    for number, analysis in enumerate(analyses):
        # The same agents analyse both contents of a revised pair; otherwise the pair would be no trap.
        if number >= 2 * REVISED or not number % 2:
            chosen = rng.sample(everyone, (4, 3, 4, 5)[number % 4] if REVISED * 2 <= number < 96 else 4)
        for agent in chosen:
            seen = sum(name == agent.name for _, name in answers)
            answers[number, agent.name] = _answer(analysis, agent, seen, rng)
    pairs = [(pair, 0) for pair in answers]
    # Some contents have a second finding of the same agent: the same answer in other words.
    pairs += [(pair, 1) for pair in rng.sample(list(answers), FINDINGS - len(pairs))]
    findings = []
    for row, ((number, agent_type), wording) in enumerate(pairs):
        answer, flaw = answers[number, agent_type], _FLAWS.get(row)
        output: str | None = answer.responses[wording]
        confidence: float | None = _confidence(rng)
        if flaw == "broken_json" and output:
            output = output[: len(output) // 2]
        elif flaw in ("null_output", "empty_output"):
            output = None if flaw == "null_output" else ""
        elif flaw and flaw.endswith(("confidence", "over_1")):
            confidence = {
                "null_confidence": None, "confidence_over_1": 1.7, "negative_confidence": -0.2,
                "nan_confidence": float("nan"),
            }[flaw]  # fmt: skip
        analysis_id = f"an-{number + 9001}" if flaw == "no_analysis" else analyses[number].id
        findings.append(Finding(analysis_id, agent_type, answer.id, output, confidence, flaw))
    intents = []
    for (number, agent_type), answer in answers.items():
        preview = analyses[number].preview
        if preview:
            typed = ((preview, 0.9), (preview + "\n", 0.1))
            intents.append(Intent(answer.id.removesuffix("#1"), agent_type, "content", 1, typed, (answer,)))
    given = tuple((agent_type, answer) for (_, agent_type), answer in answers.items())
    return Golden(tuple(analyses), tuple(findings), given, tuple(intents))


def created_on(first_day: date, recent: bool, last_day: date) -> date:
    """The date of an analysis as of ``last_day``, never after it. Recent analyses are on their newest anniversary."""
    cycles = (last_day - first_day).days // _YEAR
    return first_day + timedelta(days=_YEAR * (cycles if recent else min(0, cycles)))


def analyses_table(golden: Golden, last_day: date) -> pa.Table:
    """``analyses(id, url, content_preview, created_at)`` as known at the end of ``last_day``."""
    rows = []
    for number, one in enumerate(golden.analyses):
        at = None
        if one.first_day:
            clock = time(number * 7 % 24, number * 11 % 60, number * 13 % 60, tzinfo=UTC)
            at = datetime.combine(created_on(one.first_day, one.recent, last_day), clock)
        rows.append({"id": one.id, "url": one.url, "content_preview": one.preview, "created_at": at})
    return pa.Table.from_pylist(rows, schema=ANALYSES_SCHEMA)


def findings_table(golden: Golden) -> pa.Table:
    """``findings(analysis_id, agent_type, output, confidence_score)``."""
    columns = zip(*((f.analysis_id, f.agent_type, f.output, f.confidence) for f in golden.findings), strict=True)
    return pa.table(
        [pa.array(c, field.type) for c, field in zip(columns, FINDINGS_SCHEMA, strict=True)], FINDINGS_SCHEMA
    )
