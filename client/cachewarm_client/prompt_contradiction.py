"""Where two prompts contradict each other although their vectors are close.

A plain distance cannot see this: "before the release" and "after the release" are nearly the same vector.
"""

from difflib import SequenceMatcher
from itertools import takewhile

from cachewarm_client.word_lists import FILLERS
from cachewarm_client.words import Tokens

NEARLY_THE_SAME = 0.8
"""Share of words in common from which exchanged words count. In shorter prompts, one word is too large a part."""


def contradiction(lookup: Tokens, entry: Tokens) -> str | None:
    """Why the entry's answer is suspect for the lookup, in words; None where nothing contradicts.

    Checked in this order: other numbers or versions, another count of negations, other names, the shared words in
    another order, another word in the same place.
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


def substituted(left: Tokens, right: Tokens) -> bool:
    """Whether two prompts are nearly the same with one or two words exchanged: "before the release", "after the
    release".

    Words that only one of them adds (politeness) do not count, and neither does another form of the same word.
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
    """Whether one word is another form or a misspelling of the other. Opposites mostly differ at the beginning
    ("asynchronous")."""
    common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(left, right, strict=False)))
    if common >= 0.6 * max(len(left), len(right)):
        return True
    return common > 0 and SequenceMatcher(None, left, right, autojunk=False).ratio() >= 0.85


def _first_seen(order: tuple[str, ...], among: frozenset[str]) -> list[str]:
    return list(dict.fromkeys(token for token in order if token in among))
