"""What a question of the sample is: its texts, its right answers and its near misses."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    """One answer and all texts that give it. ``free_text``: no text leads, as with a model that uses other
    words on each call; otherwise it is JSON, and its first text leads."""

    id: str
    responses: tuple[str, ...]
    free_text: bool = False


@dataclass(frozen=True)
class Intent:
    """One question, whatever its wording. ``near``: ids of the other intents of the same trap. ``near_misses``: answers
    that read like the right one and say something else."""

    id: str
    agent_type: str
    kind: str  # stable | trap_* | volatile | personal | poison | content | foreign
    wordings: int  # number of plain wordings: they are the first surfaces, the rest is noise on them
    surfaces: tuple[tuple[str, float], ...]  # (text, share of the intent's rows)
    answers: tuple[Answer, ...]
    near: tuple[str, ...] = ()
    near_misses: tuple[Answer, ...] = ()
