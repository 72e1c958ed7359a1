"""The words of a prompt: what text features and contradictions are computed from.

Embeddings hardly see a negation, a version or an exchange of names: "from MySQL to Postgres" and "from Postgres to
MySQL" are closer to each other than most paraphrases are. Their words show the difference. The word lists are in
``word_lists``; where two prompts contradict each other is in ``prompt_contradiction``.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from cachewarm_client.text import sha256_hex
from cachewarm_client.word_lists import FILLERS, NEGATIONS, ROLES

_TOKEN = re.compile(r"\w+(?:[.'’+#/-]\w+)*[+#]*")
_QUOTED = re.compile(r"`([^`]{1,80})`|\"([^\"]{1,80})\"|“([^”]{1,80})”|(?<!\w)'([^']{1,80})'(?!\w)")
_SENTENCE_END = re.compile(r"[.!?:]\s*[\"'`(“]*$")


@dataclass(frozen=True, slots=True)
class Tokens:
    """A prompt as the text features see it; all words are casefolded."""

    order: tuple[str, ...]
    """All words, in the order of the prompt."""
    all: frozenset[str]
    """The same words as a set."""
    numbers: frozenset[str]
    """Words with a digit: numbers and versions."""
    names: frozenset[str]
    """Quoted text, code-like words, and words capitalised inside a sentence."""
    negations: int
    """How many words negate."""
    roles: frozenset[tuple[str, str]] = frozenset()
    """(role, word): "from Kafka to RabbitMQ" has ("from", "kafka") and ("to", "rabbitmq")."""

    @property
    def negated(self) -> bool:
        """Whether the number of negations is odd."""
        return self.negations % 2 == 1


def tokens(text: str) -> Tokens:
    """The words of a prompt, with its numbers, names, negations and roles."""
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
        if token in NEGATIONS or (not plain and token.endswith("n't")):
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
        names |= quoted_names(text)
    return Tokens(tuple(order), frozenset(order), frozenset(numbers), frozenset(names), negations, _roles(order))


def _roles(order: list[str]) -> frozenset[tuple[str, str]]:
    found = set()
    role = ""
    for token in order:
        if token in ROLES:
            role = ROLES[token]
        elif role and token not in FILLERS:
            found.add((role, token))
            role = ""
    return frozenset(found)


def exchanged(left: Tokens, right: Tokens) -> bool:
    """Whether a word that both prompts have plays another role in each: "from Kafka" and "to Kafka"."""
    if not left.roles or not right.roles or left.roles <= right.roles:
        return False
    return any(word == other and role != part for role, word in left.roles for part, other in right.roles)


@lru_cache(maxsize=1 << 16)
def word_key(word: str) -> str:
    """The key under which a word's weight is published: 12 hex digits of a hash, so that words of the log stay
    private."""
    return sha256_hex("word", word)[:12]


def quoted_names(text: str) -> frozenset[str]:
    """Text in backticks or quotation marks, casefolded; parts of more than 80 characters are ignored."""
    return frozenset(next(filter(None, found.groups())).casefold().strip() for found in _QUOTED.finditer(text))
