"""What a question asks for, as far as the `local` judge weighs answers differently by it. English word lists."""

import re
from functools import lru_cache

_NUMBER = re.compile(
    r"\b(?:how (?:many|much|long|old|far|tall|big|often|high|large)|when|what (?:year|date|time|day|number|percent\w*|age"
    r"|port|version|price|limit)|which year|last time)\b"
)
_NAME = re.compile(r"\b(?:who|whose|whom|where|which|what (?:is the name|city|country|state|team|actor|band|song))\b")


@lru_cache(1 << 14)
def asks_for_number(question: str) -> bool:
    """Whether the answer is a number or a date: "how many", "when"."""
    return bool(_NUMBER.search(question.casefold()))


@lru_cache(1 << 14)
def asks_for_name(question: str) -> bool:
    """Whether the answer is a name: "who", "where", "which"."""
    return bool(_NAME.search(question.casefold()))
