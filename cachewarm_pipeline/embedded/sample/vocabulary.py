"""Reads the package's word lists (TOML) into small typed tables. No choices are made here, and nothing is random."""

import functools
import tomllib
from dataclasses import dataclass
from importlib import resources
from typing import Any

ASPECTS = ("find", "fix", "verify", "explain", "tool", "rank", "prevent")
"""What can be asked about a subject; each is an intent of its own with an answer of its own."""


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
    """One agent_type: its share of the traffic, its subjects and its own way of being asked."""

    name: str
    family: str
    share: float
    aspects: tuple[str, ...]
    traps: bool
    leads: tuple[str, ...]
    subjects: tuple[Subject, ...]


@dataclass(frozen=True)
class Phrases:
    """One aspect of one family: questions, three wordings of the summary, recommendations as (wording, another)."""

    asks: tuple[str, ...]
    summaries: tuple[str, ...]
    recommendations: tuple[tuple[str, str], ...]


@functools.cache
def load(name: str) -> dict[str, Any]:
    """One of the package's TOML files, parsed: ``subjects``, ``phrases``, ``traps``, ``special`` or ``incidents``."""
    text = resources.files(__package__).joinpath(f"{name}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def cells(line: str, mark: str = "|") -> tuple[str, ...]:
    """The parts of one line between marks, trimmed."""
    return tuple(cell.strip() for cell in line.split(mark))


def lines(text: str) -> list[str]:
    """The lines of a block that hold something."""
    return [line for line in text.splitlines() if line.strip()]


def items(text: str) -> tuple[str, ...]:
    """Items separated by semicolons or line ends."""
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
def drawn() -> dict[str, tuple[str, ...]]:
    """The lists that an intent draws its own details from: units, whens, policies, severities, evidence (a pair)."""
    table = load("phrases")["draw"]
    return {
        "units": items(table["units"]),
        "whens": items(table["whens"]),
        "policies": items(table["policies"]),
        "severities": tuple(table["severities"]),
        "evidence": cells(table["evidence"], " ~ "),
    }


@functools.cache
def incidents() -> dict[str, tuple[str, ...]]:
    """The lists of incidents.toml: folders, files, extensions, functions, symptoms, events, causes, remedies, ..."""
    return {key: items(value) for key, value in load("incidents").items() if isinstance(value, str)}
