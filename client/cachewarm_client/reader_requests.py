"""What a reader of the cache works with: the steps that it yields, a lookup's request, and the live generation."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

from cachewarm_client.arms import NO_HOLDOUT, Assignment
from cachewarm_client.counters import HOLDOUT_ARM
from cachewarm_client.errors import CacheError
from cachewarm_client.generation_record import GenerationRecord
from cachewarm_client.vectorizer import EmbedderVectorizer


@dataclass(frozen=True)
class SendCommands:
    """A step: commands for one round trip. It is answered with the list of their replies, errors among them."""

    commands: Sequence[tuple[Any, ...]]
    atomic: bool = False


@dataclass(frozen=True)
class EmbedPrompt:
    """A step: a text to embed. It is answered with the vector as float32 bytes."""

    vectorizer: EmbedderVectorizer
    text: str


LookupSteps = Generator[SendCommands | EmbedPrompt, Any, Any]


@dataclass(frozen=True)
class LookupRequest:
    """One lookup: a prompt, a vector (float32 bytes) or both."""

    prompt: str | None
    vector: bytes | None
    agent_type: str
    num_results: int
    max_distance: float
    """Largest cosine distance that the caller allows, in addition to the match rule."""
    ttl: int | None = None
    """Seconds to live that a hit gives to an app entry; warmed entries keep their own."""
    extra_filter: str = ""
    """A filter in Redis's query language. An exact key cannot be filtered, so there are no exact hits with it."""
    explain: bool = False
    """Whether hits carry their explanation."""
    assignment: Assignment = NO_HOLDOUT
    """Arm and bucket that the lookup counts in."""

    @property
    def held_out(self) -> bool:
        """Whether the lookup sees app entries only."""
        return self.assignment.arm == HOLDOUT_ARM


@dataclass(frozen=True)
class LiveGeneration:
    """The generation that lookups read, and the vectorizer whose vectors compare with its own."""

    record: GenerationRecord
    vectorizer: EmbedderVectorizer


def checked(replies: Sequence[Any]) -> Sequence[Any]:
    """The replies themselves. Raises CacheError for the first that is an error."""
    for reply in replies:
        if isinstance(reply, Exception):
            raise CacheError(f"Redis refused a command of the cache: {reply}") from reply
    return replies
