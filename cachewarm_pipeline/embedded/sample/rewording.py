"""Varies texts as users and models do: noise on questions, rewording of answers. Pure."""

import json
import re
from collections.abc import Sequence
from random import Random

_FILLERS = (
    "please {}", "hi, {}", "quick question: {}", "hey, {}", "can you help? {}", "{} thanks", "{} asap", "{} pls",
    "one more: {}", "for today's review: {}", "hello team, {}", "{} (urgent)",
)  # fmt: skip
_WORD = re.compile(r"[a-z]{6,}")

CASED, FILLED, TYPED = 0.2, 0.17, 0.12
"""Shares of a wording's traffic with other casing or punctuation, with a filler, and with a typing error."""


def random_of(seed: int, *parts: object) -> Random:
    """A random generator of its own for each name."""
    return Random("/".join(map(str, (seed, *parts))))


def lower_first(text: str) -> str:
    """The text with its first letter in lower case."""
    return text[:1].lower() + text[1:]


def upper_first(text: str) -> str:
    """The text with its first letter in upper case."""
    return text[:1].upper() + text[1:]


def slug(text: str) -> str:
    """A readable id of a name. '+' and '#' stay, because C++ and C# are not C."""
    return re.sub(r"[^a-z0-9+#.]+", "-", text.lower()).strip("-")


def cased(text: str, rng: Random) -> str:
    """The same question with other casing or punctuation. Its canonical form does not change."""
    bare = text.rstrip("?.!")
    return rng.choice((text.lower(), bare, bare.lower(), bare + "?", bare.lower() + "??", text.upper(), bare + " ..."))


def mistyped(text: str, rng: Random, protected: Sequence[str] = ()) -> str:
    """The text with one typing error in a long word that has no protected token; unchanged if there is no such word."""
    words = [m for m in _WORD.finditer(text) if not any(m.group() in token.lower() for token in protected)]
    if not words:
        return text
    word = rng.choice(words)
    at = word.start() + rng.randrange(1, len(word.group()) - 2)
    swapped = text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    return rng.choice((swapped, text[:at] + text[at + 1 :], text[:at] + text[at] + text[at:]))


def surfaces(
    wordings: Sequence[str], rng: Random, *, noise: bool = True, protected: Sequence[str] = ()
) -> list[tuple[str, float]]:
    """(text, weight) of every text that users type for one intent. The weights add up to 1, and plain wordings come
    first.

    ``protected``: tokens that decide the answer and must not be mistyped.
    """
    plain = [1 / (position + 1) ** 0.8 for position in range(len(wordings))]
    found: dict[str, float] = {}
    extra: dict[str, float] = {}
    for wording, weight in zip(wordings, plain, strict=True):
        variants: list[tuple[str, float]] = []
        if noise:
            variants.append((cased(wording, rng), CASED))
            variants.append((rng.choice(_FILLERS).format(wording), FILLED))
            if rng.random() < 0.6:
                variants.append((mistyped(wording, rng, protected), TYPED))
        found[wording] = found.get(wording, 0) + weight * (1 - sum(share for _, share in variants))
        for text, share in variants:
            extra[text] = extra.get(text, 0) + weight * share
    for text, weight in extra.items():
        found[text] = found.get(text, 0) + weight
    total = sum(found.values())
    return [(text, weight / total) for text, weight in found.items()]


def answer_json(summary: str, recommendations: Sequence[str], severity: str) -> str:
    """One answer as the agents write it."""
    return json.dumps(
        {"summary": summary, "recommendations": list(recommendations), "severity": severity}, ensure_ascii=False
    )


def rewordings(
    summaries: Sequence[str], recommendations: Sequence[tuple[str, str]], severity: str, count: int
) -> tuple[str, ...]:
    """The first ``count`` (2 to 4) texts of one answer. All have the same facts in other words or another order; the
    fourth differs from the first only in its format."""
    first = [upper_first(a) for a, _ in recommendations]
    other = [upper_first(b) for _, b in recommendations]
    summary = [upper_first(text) for text in summaries]
    mixed = [*other[:1], *first[1:]][::-1]
    third = {"severity": severity, "recommendations": mixed, "summary": summary[2 % len(summary)]}
    texts = (
        answer_json(summary[0], first, severity),
        answer_json(summary[1 % len(summary)], other, severity),
        json.dumps(third, ensure_ascii=False),
        json.dumps(
            {"recommendations": first, "severity": severity, "summary": summary[0]}, ensure_ascii=False, indent=2
        ),
    )
    return texts[:count]
