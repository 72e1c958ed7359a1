"""Reads a semantic cache that cachewarm-pipeline warmed: RedisVL's SemanticCache under certified match rules.

What comes in: a prompt and its agent_type. What goes out: the entry that may answer it, or a miss.

- ``cache``: WarmedSemanticCache, the class an application uses; ``app_entries``: what it does to the application's own
  entries; ``holdout`` and ``arms``: which users never see warmed entries; ``prometheus_metrics``.
- ``reader``, ``nearest_entries``, ``reader_requests``: the steps of a lookup, without I/O of their own;
  ``redis_connection`` sends them, blocking or async.
- ``lookup``, ``match_decision``, ``match_features``, ``match_model``, ``learned_space``: which entry may answer.
- ``match_rules``, ``certificate``, ``generation_record``, ``keys``: what the pipeline publishes, and under which keys.
- ``redis_search_commands``, ``redis_index``, ``redis_counters``, ``counters``, ``cold_cache_shadow``,
  ``redis_wrong_hit_reports``, ``wrong_hit_reports``: what readers write and ask in Redis.
- ``text``, ``words``, ``personal_data``, ``credentials``, ``urls``: canonical prompts and what a text holds.
- ``embedders``: the embedders that made the vectors; ``vectorizer``: one as RedisVL wants it.
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
