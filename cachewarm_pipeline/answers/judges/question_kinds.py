"""What a question asks for, as far as the `local` judge weighs answers differently by it.

The word lists are English; the one of advice knows beginnings of questions in five more languages.
"""

import re
from functools import lru_cache

_NUMBER = re.compile(
    r"\b(?:how (?:many|much|long|old|far|tall|big|often|high|large)|when"
    r"|what (?:year|date|time|day|number|percent\w*|age|port|version|price|limit)|which year|last time)\b"
)
_NAME = re.compile(r"\b(?:who|whose|whom|where|which|what (?:is the name|city|country|state|team|actor|band|song))\b")
_HOW = re.compile(
    r"\b(?:how (?:do|can|to|should|would|could|does|am|will|are)|what should|should (?:i|we)"
    r"|(?:can|could|would) (?:you|we|i)"
    r"|please|why)\b"
    r"|^\W*(?:write|give|create|list|explain|describe|summari[sz]e|translate|generate|make|suggest|review|fix|add|build"
    r"|design|implement|convert|show|tell|compare|plan|optimi[sz]e|refactor|document|test|check|find|analy[sz]e|draft"
    r"|rewrite|improve|help|change|set|turn|enable|disable|configure|verify|propose|prepare|estimate)\b"
    r"|\b(?:wie (?:kann|schalte|aktiviere|mache|stelle|\w+ ich)"
    r"|comment (?:puis|est|faire|activer)|cómo|como (?:posso|faço|ativo)|come (?:si|posso)|hoe (?:kan|zet|schakel))\b"
)


@lru_cache(1 << 14)
def asks_for_number(question: str) -> bool:
    """Whether the answer is a number or a date: "how many", "when"."""
    return bool(_NUMBER.search(question.casefold()))


@lru_cache(1 << 14)
def asks_for_name(question: str) -> bool:
    """Whether the answer is a name: "who", "where", "which"."""
    return bool(_NAME.search(question.casefold()))


@lru_cache(1 << 14)
def asks_how(question: str) -> bool:
    """Whether the answer is advice or a text: "how do I", "write a"."""
    return bool(_HOW.search(question.casefold()))
