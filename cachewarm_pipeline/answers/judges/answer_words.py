"""The words of one answer as the `local` judge sees them: hashed stems with what is known of each.

Computed once for each text, and stored (judges.answer_words_store). ``pair_features`` compares two answers by them.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from cachewarm_client.text import sha256_hex
from numpy.typing import NDArray

from cachewarm_pipeline.answers.veto.number_words import NUMBER_WORDS
from cachewarm_pipeline.answers.veto.words_of import word_set
from cachewarm_pipeline.query_log.response_text import json_value

VERSION = 1
"""Rises with every change of what is computed here: stored words of another version are not used."""

NAME, NUMBER, FIRST, NAMED_FIRST = 1, 2, 4, 8
"""Flags of a word: a name (capitalised inside the text), a number, in the first sentence, a name there."""

_WORD = re.compile(r"\d[\d,]*(?:\.\d+|(?:st|nd|rd|th)\b)?|[^\W_]+(?:['’_-][^\W_]+)*")
_FOOTNOTE = re.compile(r"(?<=[^\W\d]{3})\d{1,2}(?=[.,;]?(?:\s|$))")
"""The number of a footnote, glued to the word before it: "in Canada1."."""
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[^\Wa-z]|[\"'(*])|(?<=[。！？])|\n+")
_UNSPACED = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]+"
)
"""Scripts without blanks between words (and Korean, whose words carry particles): compared by pairs of characters."""
_ORDINAL = re.compile(r"(\d+)(?:st|nd|rd|th)$")
_SUFFIXES = ("ing", "ed", "es", "ly", "s")
_STEM = 8
_MIN_STEM = 3
_HEADER = 8
"""Bytes of the counts of a stored row."""
_LONGEST_SENTENCE = 1_000
"""Characters in which the end of a sentence is searched."""
_MIN_FIRST = 12
"""Characters of a shorter first sentence, which says nothing: "Sure!"."""

_HEDGE = re.compile(
    r"\b(?:sorry|apologi[sz]e|(?:could|can)(?:n['’]t| ?not) (?:find|provide|answer|determine|confirm|help|access)"
    r"|unable to|i (?:do(?:n['’]t| not)|cannot|can['’]t) (?:know|have|find)|no (?:specific )?information"
    r"|not (?:sure|clear|known)|unclear|unknown|as an ai|(?:does|do)(?:n['’]t| not) (?:mention|specify|provide|say)"
    r"|(?:more|additional|further) (?:information|context|details)|not (?:available|enough)|depends on"
    r"|leider|tut mir leid|kann (?:ich )?(?:nicht|keine)|désolée?|je ne (?:sais|peux) pas|lo siento|no (?:puedo|sé)"
    r"|mi dispiace|non (?:posso|so)|desculpe|não (?:posso|sei))\b",
    re.IGNORECASE,
)
_COMMON_CAPITALS = word_set(
    "the this that thes it in a an accord yes no there as on if hello he she they his her we i you at but and for "
    "howev to of or so when while also"
)


@dataclass(frozen=True, slots=True)
class AnswerWords:
    """The distinct words of one answer, ordered by hash, and what counts of the whole text."""

    words: NDArray[np.uint64]
    """Hashes (n,) of the stems, ascending."""
    flags: NDArray[np.uint8]
    """(n,): NAME, NUMBER, FIRST and NAMED_FIRST of each word."""
    length: int
    """Words of the text."""

    def to_bytes(self) -> bytes:
        """As it is stored: two counts, the hashes, the flags."""
        counts = np.array([len(self.words), self.length], "<u4")
        return counts.tobytes() + self.words.astype("<u8").tobytes() + self.flags.tobytes()

    @classmethod
    def of_bytes(cls, stored: bytes) -> "AnswerWords":
        """The words that ``to_bytes`` stored. Raises ValueError for other bytes."""
        number, length = np.frombuffer(stored, "<u4", 2).tolist()
        if len(stored) != _HEADER + 9 * number:
            raise ValueError(f"{len(stored)} bytes are not the words of an answer")
        words = np.frombuffer(stored, "<u8", number, _HEADER)
        flags = np.frombuffer(stored, np.uint8, number, _HEADER + 8 * number)
        return cls(words, flags, length)


def answer_words(text: str) -> AnswerWords:
    """The words of an answer or a question. JSON is read as its keys and values."""
    text = _FOOTNOTE.sub("", _plain(text.strip()))
    flags: dict[int, int] = {}
    length = 0
    first_start, first_end = _first_sentence(text)
    for match in _WORD.finditer(text):
        raw = match.group()
        inside = FIRST if first_start <= match.start() < first_end else 0
        for stem in _stems(raw):
            length += 1
            flag = inside
            if stem[0].isdigit():
                flag |= NUMBER
            elif raw[0].isupper() and len(raw) > 1 and stem not in _COMMON_CAPITALS:
                flag |= NAME | (NAMED_FIRST if inside else 0)
            key = word_hash(stem)
            flags[key] = flags.get(key, 0) | flag
    order = sorted(flags)
    return AnswerWords(np.array(order, np.uint64), np.array([flags[key] for key in order], np.uint8), length)


def stems_of(text: str) -> set[str]:
    """The distinct stems of a text, which ``answer_words`` hashes."""
    plain = _FOOTNOTE.sub("", _plain(text.strip()))
    return {stem for match in _WORD.finditer(plain) for stem in _stems(match.group())}


@lru_cache(1 << 17)
def word_hash(stem: str) -> int:
    """64-bit hash of a stem, the same in all processes."""
    return int(sha256_hex("answer word", stem)[:16], 16)


@lru_cache(1 << 17)
def _stems(raw: str) -> tuple[str, ...]:
    """The stem of a run of letters or digits; several for scripts without blanks."""
    word = raw.casefold().replace("’", "'")
    if not _UNSPACED.search(word):
        return (_stem(word),)
    found = [run[i : i + 2] for run in _UNSPACED.findall(word) for i in range(max(len(run) - 1, 1))]
    return (*found, *(_stem(rest) for rest in _UNSPACED.split(word) if rest))


def _stem(word: str) -> str:
    if word in NUMBER_WORDS and word != "one":  # "one" is often a pronoun
        return f"{NUMBER_WORDS[word]:g}"
    if word[0].isdigit():
        plain = word.replace(",", "")
        ordinal = _ORDINAL.match(plain)
        return ordinal.group(1) if ordinal else plain
    word = word.removesuffix("'s")
    if word.isalpha() and len(word) > _MIN_STEM:
        for suffix in _SUFFIXES:
            if word.endswith(suffix) and len(word) - len(suffix) >= _MIN_STEM:
                word = word[: -len(suffix)]
                break
        word = word.removesuffix("e")
    return word[:_STEM] if word.isalpha() else word


def _plain(text: str) -> str:
    """JSON as lines of its keys and values; any other text as it is."""
    if text[:1] not in ("{", "["):
        return text
    try:
        lines: list[str] = []
        _collect(json_value(text), lines)
    except (ValueError, RecursionError):
        return text
    return "\n".join(lines)


def _collect(value: Any, lines: list[str], key: str = "") -> None:
    if isinstance(value, dict):
        for name in sorted(value):
            _collect(value[name], lines, str(name).replace("_", " "))
    elif isinstance(value, list):
        for item in value:
            _collect(item, lines, key)
    elif value is not None:
        lines.append(f"{key}: {value}" if key else str(value))


def _first_sentence(text: str) -> tuple[int, int]:
    """Where the first sentence that says something starts and ends: not a greeting, not a hedge."""
    start, whole = 0, (0, _end_of_sentence(text))
    while start < len(text):
        end = start + _end_of_sentence(text[start : start + _LONGEST_SENTENCE])
        sentence = text[start:end]
        if len(sentence.strip()) > _MIN_FIRST and not _HEDGE.search(sentence):
            return start, end
        start = end
    return whole


def _end_of_sentence(text: str) -> int:
    """Where the first sentence ends, with the blanks behind it."""
    found = _SENTENCE_END.search(text)
    return max(found.end(), 1) if found else len(text)
