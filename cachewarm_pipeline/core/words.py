"""The words of a prompt, and where two prompts contradict each other though their vectors are close.

Embeddings hardly see a negation, a version or an exchange of names: "from MySQL to Postgres" and "from Postgres to
MySQL" are closer to each other than most paraphrases are. Words do see it.
"""

import re
from dataclasses import dataclass

_TOKEN = re.compile(r"\w+(?:[.'’+#/-]\w+)*[+#]*")
_QUOTED = re.compile(r"`([^`]{1,80})`|\"([^\"]{1,80})\"|“([^”]{1,80})”|(?<!\w)'([^']{1,80})'(?!\w)")
_SENTENCE_END = re.compile(r"[.!?:]\s*[\"'`(“]*$")
_NEGATIONS = frozenset(
    [
        "not",
        "no",
        "never",
        "without",
        "cannot",
        "none",
        "nor",
        "neither",
        "cant",
        "dont",
        "doesnt",
        "isnt",
        "wont",
        "didnt",
        "couldnt",
        "wasnt",
        "arent",
        "havent",
        "hasnt",
    ]
)


@dataclass(frozen=True, slots=True)
class Tokens:
    """A prompt as the text features see it."""

    order: tuple[str, ...]
    all: frozenset[str]
    numbers: frozenset[str]
    names: frozenset[str]
    negated: bool


def tokens(text: str) -> Tokens:
    """Casefolded tokens of a prompt; those with a digit; names; and whether its negations are odd in number."""
    order: list[str] = []
    names: set[str] = set()
    numbers: set[str] = set()
    negations = 0
    previous_end = 0
    for match in _TOKEN.finditer(text):
        raw = match.group()
        token = raw.casefold().replace("’", "'")
        order.append(token)
        plain = raw.isalpha()
        if not plain and any(map(str.isdigit, raw)):
            numbers.add(token)
        if token in _NEGATIONS or (not plain and token.endswith("n't")):
            negations += 1
        if not raw.islower() and not raw.isdigit():
            inner = any(map(str.isupper, raw[1:])) and any(map(str.islower, raw))
            starts = (
                previous_end == 0 or _SENTENCE_END.search(text, max(0, previous_end - 1), match.start()) is not None
            )
            if (
                inner
                or "_" in raw
                or (raw[0].isupper() and not starts and raw not in ("I", "I'm", "I've", "I'd", "I'll"))
            ):
                names.add(token)
        previous_end = match.end()
    if "`" in text or '"' in text or "“" in text or "'" in text:
        for quoted in _QUOTED.finditer(text):
            names.add(next(filter(None, quoted.groups())).casefold().strip())
    return Tokens(tuple(order), frozenset(order), frozenset(numbers), frozenset(names), negations % 2 == 1)


def contradiction(lookup: Tokens, entry: Tokens) -> str | None:
    """What makes the entry's answer suspect for the lookup, in words; None where nothing does.

    A number or version, a negation, or a name that is another one, or the shared words in another order.
    """
    if lookup.numbers != entry.numbers:
        return "other numbers or versions"
    if lookup.negated != entry.negated:
        return "one is negated"
    if lookup.names - entry.all or entry.names - lookup.all:
        return "other names"
    shared = lookup.all & entry.all
    if _first_seen(lookup.order, shared) != _first_seen(entry.order, shared):
        return "the same words in another order"
    return None


def _first_seen(order: tuple[str, ...], among: frozenset[str]) -> list[str]:
    return list(dict.fromkeys(token for token in order if token in among))
