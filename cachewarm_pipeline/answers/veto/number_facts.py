"""The numbers of a text with their units and the words around them."""

import re
from dataclasses import dataclass, replace

from cachewarm_pipeline.answers.veto.clauses import Clause
from cachewarm_pipeline.answers.veto.number_words import HEDGES, MAGNITUDES, NUMBER_WORDS, UNIT_STEMS, UNITS

_PLAIN = re.compile(r"-?\d+(?:,\d{3})*(?:\.\d+)?$")
_CODED = re.compile(r"([^\W\d]+[-:/]?)(\d[\w.:]*)$")
_WITH_UNIT = re.compile(r"(-?\d+(?:,\d{3})*(?:\.\d+)?)[-]?([^\W\d_]+(?:/[^\W\d_]+)?)$")
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})$")
_ORDINAL = re.compile(r"(\d+)(?:st|nd|rd|th)$")


@dataclass(frozen=True, slots=True)
class Number:
    """One number of a text."""

    value: float | str
    """In the basic unit of its kind; versions and codes as text."""
    kind: str
    """The kind of its unit ("time"); "year"; or the word that it counts; "" if none is known."""
    written: float | str
    """As in the text, before the unit counts."""
    before: str
    """The stem in front of it."""
    near: frozenset[str]
    """The other words of its clause."""
    around: frozenset[str]
    """The words of its sentence."""
    hedged: bool = False

    @property
    def measured(self) -> bool:
        """Whether its value may be rounded or converted."""
        return self.kind in _KINDS

    def equals(self, other: "Number") -> bool:
        """Whether the two numbers are the same, up to rounding and conversion."""
        if isinstance(self.value, str) or isinstance(other.value, str):
            return self.value == other.value
        off = abs(self.value - other.value)
        largest = max(abs(self.value), abs(other.value))
        if self.hedged or other.hedged:
            return off <= HEDGED_TOLERANCE * largest
        converted = self.measured and other.measured and self.written != self.value
        return off <= (ROUNDING if converted or largest >= 10_000 else 1e-9) * largest


NEAR = 25
"""Words before and after a number that tell its place."""

MOST_NUMBERS = 200
"""Numbers of a text that are compared: a response that is embedded as a whole has at most 2,000 characters."""

HEDGED_TOLERANCE = 0.1
"""Relative difference up to which "about 30" and "27" agree."""

ROUNDING = 0.03
"""Relative difference up to which two large or converted numbers agree: 5 miles and 8 km differ by 0.6%."""

_KINDS = frozenset(kind for kind, _ in [*UNITS.values(), *UNIT_STEMS.values()])


def numbers(found: list[Clause]) -> list[Number]:
    """The numbers of all clauses, in their order."""
    around: dict[int, frozenset[str]] = {}
    for clause in found:
        around[clause.sentence] = around.get(clause.sentence, frozenset()) | clause.content
    result = []
    for clause in found:
        skip = -1
        for at, word in enumerate(clause.words):
            if at > skip and (word[0].isdigit() or word[-1].isdigit() or word in NUMBER_WORDS or word[0] == "-"):
                number, skip = _number(clause, at, around[clause.sentence])
                if number is not None:
                    result.append(number)
    return _sums(result[:MOST_NUMBERS])


def _sums(found: list[Number]) -> list[Number]:
    """The numbers, with "3 hours and 48 minutes" as one."""
    result: list[Number] = []
    for number in found:
        before = result[-1] if result else None
        if (
            before
            and before.kind == number.kind == "time"
            and before.around == number.around
            and _follows(before, number)
        ):
            result[-1] = replace(before, value=_float(before.value) + _float(number.value), written=0.0)
        else:
            result.append(number)
    return result


def _follows(before: Number, number: Number) -> bool:
    size, part = (_float(each.value) / (_float(each.written) or 1.0) for each in (before, number))
    return part < size <= LARGEST_SUMMED and part * 60 >= size and _float(number.written) < 60


def _float(value: float | str) -> float:
    return value if isinstance(value, float | int) else 0.0


LARGEST_SUMMED = 3600.0
"""Seconds of the largest unit of time that is added to the smaller one behind it."""


def _number(clause: Clause, at: int, around: frozenset[str]) -> tuple[Number | None, int]:
    """The number at a place of a clause, and the last place that belongs to it."""
    word, last = clause.words[at], at
    value: float | str
    unit: tuple[str, float] | None = None
    kind = ""
    if word in NUMBER_WORDS:
        value = float(NUMBER_WORDS[word])
    elif _PLAIN.match(word):
        value = float(word.replace(",", ""))
    elif clock := _CLOCK.match(word):
        value, unit = int(clock[1]) + int(clock[2]) / 60, ("time of day", 1.0)
    elif ordinal := _ORDINAL.match(word):
        value, kind = float(ordinal[1]), "ordinal"
    elif (joined := _WITH_UNIT.match(word)) and (joined[2] in MAGNITUDES or unit_of(joined[2])):
        value, unit = float(joined[1].replace(",", "")) * MAGNITUDES.get(joined[2], 1.0), unit_of(joined[2])
        if unit and joined[2] in ("am", "pm"):
            value = value % 12 + 12 * (joined[2] == "pm")
    elif coded := _CODED.match(word):
        value, kind = coded[2], f"code {coded[1]}"
    elif any(map(str.isdigit, word)):
        value, kind = word, "code"
    else:
        return None, at
    words = clause.words
    if isinstance(value, float | int) and not kind:
        while last + 1 < len(words) and words[last + 1] in MAGNITUDES and words[last + 1] != "k":
            value, last = value * MAGNITUDES[words[last + 1]], last + 1
        if unit is None and at and (money := unit_of(words[at - 1])) and not words[at - 1].isalnum():
            unit = money
        if unit is None and last + 1 < len(words):
            following = words[last + 1]
            working = following in ("business", "working", "werktage", "work")
            unit = unit_of(words[last + 2]) if working and last + 2 < len(words) else unit_of(following)
            if working and unit:
                unit = "working time", unit[1]
            if unit and following.replace(".", "") in ("am", "pm"):
                value = value % 12 + 12 * (following[0] == "p")
    written = value
    if unit is not None:
        kind = unit[0]
        value = value * unit[1] if isinstance(value, float | int) else value
    elif not kind and isinstance(value, float | int):
        behind = next((part for parts in clause.parts[last + 1 : last + 3] for part in parts), "")
        kind = "year" if 1000 <= value <= 2100 and len(word) == 4 else behind
    behind_unit = last + (unit is not None and last + 1 < len(words) and unit_of(words[last + 1]) is not None)
    ahead = [part for parts in clause.parts[max(0, at - 2) : at] for part in parts]
    near = frozenset(
        part
        for k in range(max(0, at - NEAR), min(len(words), last + NEAR))
        if not at <= k <= behind_unit
        for part in clause.parts[k]
    )
    hedged = any(each in HEDGES for each in words[max(0, at - 2) : at])
    return Number(value, kind, written, ahead[-1] if ahead else "", near, around, hedged), last


def unit_of(word: str) -> tuple[str, float] | None:
    """Kind and size of a unit of measure."""
    if word in UNITS:
        return UNITS[word]
    for end in range(len(word), 2, -1):
        if word[:end] in UNIT_STEMS and len(word) - end <= 2:
            return UNIT_STEMS[word[:end]]
    return None
