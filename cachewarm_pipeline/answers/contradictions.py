"""Whether the facts of two responses differ. If they do, no vector and no model can make the responses equivalent."""

import re
from collections.abc import Callable
from functools import lru_cache

from cachewarm_client.prompt_contradiction import substituted
from cachewarm_client.word_lists import FILLERS, NEGATIONS
from cachewarm_client.words import tokens

from cachewarm_pipeline.answers.facts import FACTS_CACHED, Facts, TextFacts, facts

SHORT_ANSWER_TOKENS = 12
"""In answers of at most this length one negation reverses the meaning ("Do not enable it").

In longer ones a rewording may move negations or remove them.
"""

MOSTLY_SAME_WORDS = 0.6
"""Share of common words from which one negation reverses a longer text too: little else was reworded."""

SHORT_TEXT_TOKENS = 30
"""In texts of at most this length the order of names carries meaning."""

SAME_CLAUSE = 0.6
"""Share of the longer clause's words that two clauses share when they say the same thing, or its opposite."""

_MIN_STEMS = 2
"""A clause of fewer words is not compared."""

_STEM = 5
"""Letters of a word that are compared: "deleting" matches "delete"."""

_CLAUSE_END = re.compile(r"[.;:!?,\n]+\s|\b(?:and|but|while|because)\b")


def facts_agree(left: str, right: str, facts_of: Callable[[str], Facts] = facts) -> bool:
    """Whether the facts of two responses agree. The order of the two does not matter.

    ``facts_of`` gives the facts of a response; a caller with many pairs passes a cached one.
    """
    if right < left:  # the likeness of two words depends on which comes first
        left, right = right, left
    return not facts_differ(facts_of(left), facts_of(right))


def facts_differ(left: Facts, right: Facts) -> bool:
    """Whether two responses differ in something that no rewording changes, however near their vectors are.

    They differ when one of these does:

    - the numbers, also spelled ones, and the versions
    - a short JSON value
    - the names in code or quotes: each response has one that the other lacks
    - a yes or no as the first word
    - the direction of a move ("from A to B")
    - a clause that one response negates and the other does not
    - one word, where little else differs
    - in short texts, the number of negations or the order of the words
    """
    if left.values != right.values or _texts_differ(left.whole, right.whole):
        return True
    shared = left.sentences.keys() & right.sentences.keys()
    return any(_sentences_differ(left.sentences[path], right.sentences[path]) for path in shared)


def _texts_differ(left: TextFacts, right: TextFacts) -> bool:
    """For texts of any length, whose sentences may be in any order."""
    if left.numbers != right.numbers or _negation_dropped(left, right) or _negation_dropped(right, left):
        return True
    if any(name not in right.folded for name in left.names) and any(name not in left.folded for name in right.names):
        return True
    return any((target, origin) in right.moves for origin, target in left.moves)


def _negation_dropped(left: TextFacts, right: TextFacts) -> bool:
    """Whether ``right`` states a clause that ``left`` negates: the most similar clause of ``right`` is not negated.

    A negation without such a clause is a rewording: "who did not build it", "outsiders".
    """
    if not left.words.negations:
        return False
    others = [other for other in _clauses(right.folded) if len(other[0]) >= _MIN_STEMS]
    for stems, negated in _clauses(left.folded):
        if negated and len(stems) >= _MIN_STEMS and others:
            nearest = max(
                (len(stems & other) / max(len(stems), len(other)), not other_negated) for other, other_negated in others
            )
            if nearest >= (SAME_CLAUSE, True) and nearest[1]:
                return True
    return False


@lru_cache(FACTS_CACHED)
def _clauses(text: str) -> tuple[tuple[frozenset[str], bool], ...]:
    """For each clause the stems of its words, and whether it is negated."""
    parts = [tokens(part) for part in _CLAUSE_END.split(text)]
    return tuple(
        (frozenset(word[:_STEM] for word in part.all - FILLERS - NEGATIONS), part.negated) for part in parts if part.all
    )


def _sentences_differ(left: TextFacts, right: TextFacts) -> bool:
    """For two texts at the same place of their responses."""
    a, b = left.words, right.words
    if {left.yes_or_no, right.yes_or_no} == {True, False} or _two_swapped(a.order, b.order):
        return True
    longest = max(len(a.order), len(b.order))
    mostly_same = len(a.all & b.all) >= MOSTLY_SAME_WORDS * len(a.all | b.all)
    if a.negations != b.negations and (mostly_same or longest <= SHORT_ANSWER_TOKENS):
        return True
    if substituted(a, b):
        return True
    if longest > SHORT_TEXT_TOKENS:
        return False
    among = a.all if a.all == b.all else a.names & b.names
    order_a, order_b = ([t for t in dict.fromkeys(side.order) if t in among] for side in (a, b))
    return order_a != order_b


def _two_swapped(left: tuple[str, ...], right: tuple[str, ...]) -> bool:
    """Whether the two texts have the same words, and two of them changed places."""
    if len(left) != len(right):
        return False
    places = [i for i, (one, other) in enumerate(zip(left, right, strict=True)) if one != other]
    return len(places) == 2 and left[places[0]] == right[places[1]] and left[places[1]] == right[places[0]]
