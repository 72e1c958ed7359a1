"""Reads the word lists of this folder (TOML) into small typed tables. Nothing is random here."""

import functools
import tomllib
from dataclasses import dataclass
from importlib import resources
from typing import Any

ASPECTS = ("find", "fix", "verify", "explain", "tool", "rank", "prevent")
"""What users ask about a subject. Each aspect is its own intent with its own answer."""


@dataclass(frozen=True)
class Subject:
    """One line of subjects.toml."""

    name: str
    alias: str
    cause: str
    harm: str
    fix: str
    check: str
    tool: str


@dataclass(frozen=True)
class Agent:
    """One agent_type: its share of the traffic, its subjects, and the phrases with which users address it.
    ``json_answers``: it answers in JSON and not in free text."""

    name: str
    family: str
    share: float
    aspects: tuple[str, ...]
    traps: bool
    json_answers: bool
    leads: tuple[str, ...]
    subjects: tuple[Subject, ...]


@dataclass(frozen=True)
class Phrases:
    """One aspect of one family: questions, three wordings of the summary, and recommendations in two wordings each."""

    asks: tuple[str, ...]
    summaries: tuple[str, ...]
    recommendations: tuple[tuple[str, str], ...]


@functools.cache
def load(name: str) -> dict[str, Any]:
    """One of the TOML files of this folder, parsed. ``name``: without the extension."""
    text = resources.files(__package__).joinpath(f"{name}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def cells(line: str, mark: str = "|") -> tuple[str, ...]:
    """The parts of a line that a mark separates, trimmed."""
    return tuple(cell.strip() for cell in line.split(mark))


def lines(text: str) -> list[str]:
    """The lines of a block that are not blank."""
    return [line for line in text.splitlines() if line.strip()]


def items(text: str) -> tuple[str, ...]:
    """Items separated by semicolons or line breaks."""
    return tuple(item for line in lines(text) for item in cells(line, ";") if item)


@functools.cache
def agents() -> tuple[Agent, ...]:
    """All agent types, in the file's order."""
    return tuple(
        Agent(
            name=table.get("name", key),
            family=table["family"],
            share=table["share"],
            aspects=tuple(table.get("aspects", ASPECTS)),
            traps=table.get("traps", True),
            json_answers=table.get("json_answers", False),
            leads=tuple(table["leads"]),
            subjects=tuple(Subject(*cells(line)) for line in lines(table["subjects"])),
        )
        for key, table in load("subjects").items()
    )


@functools.cache
def phrases(family: str, aspect: str) -> Phrases:
    """The phrases of one aspect."""
    table = load("phrases")[family][aspect]
    pairs = [cells(line, " ~ ") for line in table["recs"]]
    return Phrases(tuple(table["asks"]), tuple(table["summaries"]), tuple((a, b) for a, b in pairs))


@functools.cache
def detail_lists() -> dict[str, tuple[str, ...]]:
    """The lists from which an intent draws its details: units, whens, policies, severities, evidence (two wordings)."""
    table = load("phrases")["draw"]
    return {
        "units": items(table["units"]),
        "whens": items(table["whens"]),
        "policies": items(table["policies"]),
        "severities": tuple(table["severities"]),
        "evidence": cells(table["evidence"], " ~ "),
    }


@functools.cache
def fragments() -> dict[str, tuple[str, ...]]:
    """The lists of question_fragments.toml: folders, files, extensions, functions, symptoms, events, causes, remedies,
    ..."""
    return {key: items(value) for key, value in load("question_fragments").items() if isinstance(value, str)}
