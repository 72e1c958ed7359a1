"""The words of a prompt, and where two prompts contradict each other though their vectors are close.

Embeddings hardly see a negation, a version or an exchange of names: "from MySQL to Postgres" and "from Postgres to
MySQL" are closer to each other than most paraphrases are. Words do see it.
"""

import re
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache
from itertools import takewhile

from cachewarm_client.text import sha256_hex

_TOKEN = re.compile(r"\w+(?:[.'’+#/-]\w+)*[+#]*")
_QUOTED = re.compile(r"`([^`]{1,80})`|\"([^\"]{1,80})\"|“([^”]{1,80})”|(?<!\w)'([^']{1,80})'(?!\w)")
_SENTENCE_END = re.compile(r"[.!?:]\s*[\"'`(“]*$")
NEGATIONS = frozenset(
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

# fmt: off
FILLERS = frozenset(
    [
        "a", "an", "the", "is", "are", "was", "were", "be", "do", "does", "did", "i", "i'm", "we", "you",
        "it", "this", "that", "these", "those", "my", "our", "your", "me", "us", "of", "for", "at", "and",
        "so", "please", "kindly", "hey", "hi", "hello", "thanks", "thank", "quick", "question", "just",
        "really", "also", "can", "could", "would", "should",
    ]
)
# fmt: on
"""Exchanged without another meaning."""

ROLES = {"from": "from", "to": "to", "into": "to", "onto": "to", "before": "before", "after": "after", "than": "than"}
"""Words that say which part a thing has in what happens; what stands behind another one has another part."""

NEARLY_THE_SAME = 0.8
"""Share of the words in common from which exchanged words count: in shorter prompts, one word is too large a part."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """A prompt as the text features see it."""

    order: tuple[str, ...]
    all: frozenset[str]
    numbers: frozenset[str]
    names: frozenset[str]
    negations: int
    roles: frozenset[tuple[str, str]] = frozenset()
    """(word of ROLES, the word behind it): "from Kafka to RabbitMQ" has ("from", "kafka") and ("to", "rabbitmq")."""

    @property
    def negated(self) -> bool:
        """Whether the negations are odd in number."""
        return self.negations % 2 == 1


def tokens(text: str) -> Tokens:
    """Casefolded tokens of a prompt; those with a digit; names; and the number of its negations."""
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
    """Whether a word that both have plays another part in each: it comes from where it goes to, is before or after."""
    if not left.roles or not right.roles or left.roles <= right.roles:
        return False
    return any(word == other and role != part for role, word in left.roles for part, other in right.roles)


@lru_cache(maxsize=1 << 16)
def word_key(word: str) -> str:
    """What a word is called where its weight is published: a hash, as words of the log are no public vocabulary."""
    return sha256_hex("word", word)[:12]


def quoted_names(text: str) -> frozenset[str]:
    """What stands in backticks or quotation marks, casefolded; at most 80 characters each."""
    return frozenset(next(filter(None, found.groups())).casefold().strip() for found in _QUOTED.finditer(text))


def substituted(left: Tokens, right: Tokens) -> bool:
    """Whether nearly the same is said with one or two words exchanged: "before the release", "after the release".

    Words that are only added (politeness) and another form of the same word exchange nothing.
    """
    shared = len(left.all & right.all)
    if shared < NEARLY_THE_SAME * len(left.all | right.all):
        return False
    only_left, only_right = (left.all - right.all) - FILLERS, (right.all - left.all) - FILLERS
    if not (1 <= len(only_left) <= 2 and 1 <= len(only_right) <= 2):
        return False
    return not (_all_forms(only_left, only_right) or _all_forms(only_right, only_left))


def _all_forms(words: frozenset[str], of: frozenset[str]) -> bool:
    return all(any(_same_stem(word, other) for other in of) for word in words)


def _same_stem(left: str, right: str) -> bool:
    """Whether one is another form or a slip of the other; opposites mostly differ in front ("asynchronous")."""
    common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(left, right, strict=False)))
    if common >= 0.6 * max(len(left), len(right)):
        return True
    return common > 0 and SequenceMatcher(None, left, right, autojunk=False).ratio() >= 0.85


def contradiction(lookup: Tokens, entry: Tokens) -> str | None:
    """What makes the entry's answer suspect for the lookup, in words; None where nothing does.

    A number or version, the number of negations, or a name that is another one, the shared words in another order, or
    another word in the same place.
    """
    if lookup.numbers != entry.numbers:
        return "other numbers or versions"
    if lookup.negations != entry.negations:
        return "one is negated"
    if lookup.names - entry.all or entry.names - lookup.all:
        return "other names"
    shared = lookup.all & entry.all
    if _first_seen(lookup.order, shared) != _first_seen(entry.order, shared):
        return "the same words in another order"
    if substituted(lookup, entry):
        return "another word in the same place"
    return None


def _first_seen(order: tuple[str, ...], among: frozenset[str]) -> list[str]:
    return list(dict.fromkeys(token for token in order if token in among))
