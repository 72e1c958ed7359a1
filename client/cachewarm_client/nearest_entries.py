"""What is near a lookup: the searches of one, and the entries that the match rule decides on."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import redis

from cachewarm_client import lookup
from cachewarm_client import redis_search_commands as search
from cachewarm_client.keys import index_name
from cachewarm_client.match_rules import MatchRules
from cachewarm_client.reader_requests import EmbedPrompt, LiveGeneration, LookupRequest, SendCommands, checked
from cachewarm_client.redis_index import missing_index


@dataclass(frozen=True)
class NearestEntries:
    """What is near a lookup. ``allowed``: keys that the caller's own filter lets through; None without one."""

    name: str
    rules: MatchRules
    found: search.SearchReply
    allowed: set[str] | None

    def decide(self, ask: LookupRequest, vector: bytes) -> lookup.LookupResult:
        return lookup.semantic(
            self.name,
            self.rules,
            ask.agent_type,
            self.found,
            prompt=ask.prompt,
            vector=vector,
            num_results=ask.num_results,
            strictest=ask.strictest,
            allowed=self.allowed,
            explain=ask.explain,
        )


def nearest_entries(
    name: str, live: LiveGeneration, ask: LookupRequest, vector: bytes, k: int
) -> Generator[SendCommands | EmbedPrompt, Any, "NearestEntries | None"]:
    """The ``k`` nearest entries; None when the generation was taken away meanwhile.

    A certified rule must see the warmed neighbours that it was certified on, whatever else is near: the caller's
    filter is asked apart, and where the application's entries took places, the warmed ones are asked for again.
    """
    if ask.held_out:
        return (yield from _nearest_own(name, live, ask, vector, k))
    index = index_name(name, live.record.id)
    rule = live.record.match_rules.for_agent_type(ask.agent_type)
    fields = search.NEIGHBOUR_FIELDS if rule.model else search.STORED_FIELDS
    whole = search.knn_command(index, ask.agent_type, vector, k, also="" if rule.certified else ask.also, fields=fields)
    asked = [tuple(whole)]
    if rule.certified and ask.also:
        filtered = search.knn_command(index, ask.agent_type, vector, k, also=ask.also, fields=["entry_id"])
        asked.append(tuple(filtered))
    replies = yield SendCommands(asked)
    if any(isinstance(reply, redis.ResponseError) and missing_index(reply) for reply in replies):
        return None
    found, *allowed = map(_found, replies)
    own = [row for row in found.rows if lookup.is_own(name, row[0])]
    if rule.certified and own and len(found.rows) == k:
        warmed = search.knn_command(
            index,
            ask.agent_type,
            vector,
            k,
            also="@generation:{$generation}",
            also_values={"generation": live.record.id},
            fields=fields,
        )
        (reply,) = yield SendCommands([tuple(warmed)])
        if isinstance(reply, redis.ResponseError) and missing_index(reply):
            return None
        again = _found(reply)
        # A part of the neighbours says nothing: no decision rests on a search that was cut short.
        rows = [] if again.partial else [*own, *again.rows]
        found = search.SearchReply(found.total, rows, again.partial)
    keys = {key for key, _ in allowed[0].rows} if allowed else None
    return NearestEntries(name, live.record.match_rules, found, keys)


def _nearest_own(
    name: str, live: LiveGeneration, ask: LookupRequest, vector: bytes, k: int
) -> Generator[SendCommands | EmbedPrompt, Any, "NearestEntries | None"]:
    """``nearest`` among the application's own entries, for the holdout."""
    command = search.knn_command(
        index_name(name, live.record.id),
        ask.agent_type,
        vector,
        k,
        also=f"{ask.also and f'({ask.also}) '}-@generation:{{$generation}}",
        also_values={"generation": live.record.id},
    )
    (reply,) = yield SendCommands([tuple(command)])
    if isinstance(reply, redis.ResponseError) and missing_index(reply):
        return None
    found = _found(reply)
    own = [row for row in found.rows if lookup.is_own(name, row[0])]  # whatever the index holds: no warmed one
    return NearestEntries(name, live.record.match_rules, search.SearchReply(found.total, own, found.partial), None)


def _found(reply: Any) -> search.SearchReply:
    """A search that Redis cut short found nothing: what it did not see could be nearer."""
    if isinstance(reply, redis.ResponseError) and "timeout" in str(reply).lower():
        return search.SearchReply(0, [], True)
    found = search.parse_found(checked([reply])[0])
    return search.SearchReply(0, [], True) if found.partial else found
