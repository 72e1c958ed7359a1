"""Reads a semantic cache that cachewarm-pipeline warmed: RedisVL's SemanticCache under certified match rules.

In: a prompt and its agent_type. Out: the entry that may answer it, or a miss.

- ``cache``: WarmedSemanticCache, the class an application uses; ``cache_arguments`` checks what it is called with, and
  ``app_entries`` limits RedisVL's other methods to app entries (what the application stored itself). ``holdout`` and
  ``arms``: which users never see warmed entries. ``prometheus_metrics``: its lookups as metrics.
- ``reader``, ``nearest_entries``, ``reader_requests``: the steps of a lookup, without I/O; ``redis_connection`` runs
  them, blocking or async.
- ``lookup``, ``match_decision``, ``match_features``, ``match_model``, ``learned_space``: which entry may answer.
- ``match_rules``, ``certificate``, ``generation_record``, ``keys``: what the pipeline publishes, and under which keys.
- ``redis_search_commands``, ``redis_index``: the search index. ``redis_counters``, ``counters``,
  ``cold_cache_shadow``: hits and misses. ``redis_wrong_hit_reports``, ``wrong_hit_reports``: reported wrong hits.
- ``text``: canonical prompts, entry ids and user hashes. ``words``, ``word_lists``: the words of a prompt.
  ``prompt_contradiction``: where two prompts contradict each other. ``personal_data``, ``credentials``: what must not
  be served to somebody else. ``urls``: URLs without passwords. ``errors``: all errors.
- ``embedders``: the embedders that made the vectors; ``vectorizer``: one of them as RedisVL wants it.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cachewarm_client.cache import WarmedSemanticCache as WarmedSemanticCache

__all__ = ["WarmedSemanticCache"]


def __getattr__(name: str) -> Any:
    # The pipeline imports single modules of this package; only an application needs the class, which loads RedisVL.
    if name == "WarmedSemanticCache":
        from cachewarm_client.cache import WarmedSemanticCache

        return WarmedSemanticCache
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
