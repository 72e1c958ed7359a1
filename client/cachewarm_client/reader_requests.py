"""What a reader of the cache does, as steps without I/O of their own: what is asked, sent and embedded."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

from cachewarm_client.arms import WARMED, Place
from cachewarm_client.counters import HOLDOUT_ARM
from cachewarm_client.errors import CacheError
from cachewarm_client.generation_record import GenerationRecord
from cachewarm_client.vectorizer import EmbedderVectorizer


@dataclass(frozen=True)
class SendCommands:
    """Commands for one round trip; the answer is the list of their replies, errors among them."""

    commands: Sequence[tuple[Any, ...]]
    atomic: bool = False


@dataclass(frozen=True)
class EmbedPrompt:
    """A text to embed; the answer is its vector as float32 bytes."""

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
    strictest: float
    """Largest distance that the caller allows, on top of the match rule."""
    ttl: int | None = None
    """Seconds to live that a hit gives to an entry of the application's own; warmed entries keep theirs."""
    also: str = ""
    """One more filter in the query language; an exact key cannot be filtered, so there is no exact path with it."""
    explain: bool = False
    place: Place = WARMED
    """Arm and bucket that the lookup counts in."""

    @property
    def held_out(self) -> bool:
        """Whether it sees the application's own entries only."""
        return self.place.arm == HOLDOUT_ARM


@dataclass(frozen=True)
class LiveGeneration:
    """The generation that lookups go to, and what makes vectors that compare with its own."""

    record: GenerationRecord
    vectorizer: EmbedderVectorizer


def checked(replies: Sequence[Any]) -> Sequence[Any]:
    """The replies themselves. Raises CacheError for the first that is an error."""
    for reply in replies:
        if isinstance(reply, Exception):
            raise CacheError(f"Redis refused a command of the cache: {reply}") from reply
    return replies
