"""Places in the code that answers point to."""

from collections.abc import Mapping
from random import Random

from cachewarm_pipeline.embedded.sample import word_lists


def code_place(rng: Random) -> dict[str, object]:
    """A place in the code that an answer points to: slots fn, path and line. Every answer has its own place."""
    place = word_lists.fragments()
    return {
        "fn": rng.choice(place["functions"]),
        "path": f"{rng.choice(place['folders'])}/{rng.choice(place['files'])}{rng.choice(place['extensions'])}",
        "line": rng.randint(3, 990),
    }


def evidence(place: Mapping[str, object]) -> tuple[str, str]:
    """The last recommendation of a JSON answer, in two wordings."""
    first, other = (text.format(**place) for text in word_lists.detail_lists()["evidence"])
    return first, other


def in_words(place: Mapping[str, object]) -> str:
    """The place in a sentence."""
    return "{fn} in {path}, line {line}".format(**place)
