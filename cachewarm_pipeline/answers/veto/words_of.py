"""Word lists written as text, one word beside the other."""


def word_set(words: str) -> frozenset[str]:
    """The words of a text without their order."""
    return frozenset(words.split())


def word_list(words: str) -> tuple[str, ...]:
    """The words of a text in their order."""
    return tuple(words.split())
