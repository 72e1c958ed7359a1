"""The nearest entries of a lookup: the searches that find them, and the match rule's decision about them."""

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
    """The nearest entries of one lookup."""

    name: str
    """The cache's name."""
    rules: MatchRules
    found: search.SearchReply
    allowed: set[str] | None
    """Keys that the caller's own filter allows; None without a filter."""

    def decide(self, request: LookupRequest, vector: bytes) -> lookup.LookupResult:
        """Which of them may answer the lookup."""
        return lookup.semantic_result(
            self.name,
            self.rules,
            request.agent_type,
            self.found,
            prompt=request.prompt,
            vector=vector,
            num_results=request.num_results,
            max_distance=request.max_distance,
            allowed=self.allowed,
            explain=request.explain,
        )


def nearest_entries(
    name: str, live: LiveGeneration, request: LookupRequest, vector: bytes, k: int
) -> Generator[SendCommands | EmbedPrompt, Any, "NearestEntries | None"]:
    """The ``k`` nearest entries; None when the generation was removed meanwhile.

    A certified rule must see the warmed neighbours that it was certified on, whatever else is near. So the caller's
    filter is a search of its own, and where app entries took places, the warmed entries are searched again.
    """
    if request.held_out:
        return (yield from _nearest_app_entries(name, live, request, vector, k))
    index = index_name(name, live.record.id)
    rule = live.record.match_rules.for_agent_type(request.agent_type)
    fields = search.NEIGHBOUR_FIELDS if rule.model else search.STORED_FIELDS
    commands = [tuple(search.knn_command(index, request.agent_type, vector, k, fields=fields))]
    if request.extra_filter:
        filtered = search.knn_command(
            index, request.agent_type, vector, k, extra_filter=request.extra_filter, fields=["entry_id"]
        )
        commands.append(tuple(filtered))
    replies = yield SendCommands(commands)
    if any(isinstance(reply, redis.ResponseError) and missing_index(reply) for reply in replies):
        return None
    found, *allowed = map(_search_reply, replies)
    app_rows = [row for row in found.rows if lookup.is_app_entry(name, row[0])]
    if rule.certified and app_rows and len(found.rows) == k:
        warmed_only = search.knn_command(
            index,
            request.agent_type,
            vector,
            k,
            extra_filter="@generation:{$generation}",
            extra_params={"generation": live.record.id},
            fields=fields,
        )
        (reply,) = yield SendCommands([tuple(warmed_only)])
        if isinstance(reply, redis.ResponseError) and missing_index(reply):
            return None
        again = _search_reply(reply)
        # No decision rests on a part of the neighbours, which is what a search that was cut short returns.
        rows = [] if again.partial else [*app_rows, *again.rows]
        found = search.SearchReply(found.total, rows, again.partial)
    keys = {key for key, _ in allowed[0].rows} if allowed else None
    return NearestEntries(name, live.record.match_rules, found, keys)


def _nearest_app_entries(
    name: str, live: LiveGeneration, request: LookupRequest, vector: bytes, k: int
) -> Generator[SendCommands | EmbedPrompt, Any, "NearestEntries | None"]:
    """``nearest_entries`` among the app entries, for the holdout."""
    command = search.knn_command(
        index_name(name, live.record.id),
        request.agent_type,
        vector,
        k,
        extra_filter=f"{request.extra_filter and f'({request.extra_filter}) '}-@generation:{{$generation}}",
        extra_params={"generation": live.record.id},
    )
    (reply,) = yield SendCommands([tuple(command)])
    if isinstance(reply, redis.ResponseError) and missing_index(reply):
        return None
    found = _search_reply(reply)
    # Checked again by key: whatever the index contains, the holdout sees no warmed entry.
    rows = [row for row in found.rows if lookup.is_app_entry(name, row[0])]
    return NearestEntries(name, live.record.match_rules, search.SearchReply(found.total, rows, found.partial), None)


def _search_reply(reply: Any) -> search.SearchReply:
    """The parsed reply. A search that Redis cut short counts as empty: an entry that it did not see could be nearer."""
    if isinstance(reply, redis.ResponseError) and "timeout" in str(reply).lower():
        return search.SearchReply(0, [], True)
    found = search.parse_found(checked([reply])[0])
    return search.SearchReply(0, [], True) if found.partial else found
