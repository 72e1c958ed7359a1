"""The keys of a cache in Redis, the id of a generation, and the rules that follow from them. No Redis here."""

import hashlib
import re
from datetime import date, timedelta

from cachewarm_client.errors import ConfigurationError

RESERVED = "warm"
"""First part of every key that the pipeline or a reader writes for a cache; app entries begin with the cache's name."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_ENTRY_ID = re.compile(r"[0-9a-f]{64}")


def check_name(name: str) -> str:
    """The name itself, if a cache can have it.

    Raises ConfigurationError for an empty or long name, for characters that would make key prefixes ambiguous, and for
    ``warm``: its prefix ``warm:`` would include the keys of every other cache.
    """
    if name == RESERVED:
        raise ConfigurationError(
            "the cache name 'warm' is reserved, since all caches have it as key prefix: choose another name"
        )
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"cache name {name!r} is not usable: use 1 to 64 letters, digits, '_', '-' or '.', starting with a letter "
            "or digit"
        )
    return name


def index_name(name: str, generation: str) -> str:
    """Name of a generation's search index."""
    return f"{RESERVED}:{name}:{generation}"


def key_prefix(name: str, generation: str) -> str:
    """Key prefix of a generation's entries; it ends in ':', so no other generation's prefix begins with it."""
    return f"{RESERVED}:{name}:{generation}:"


def app_prefix(name: str) -> str:
    """Key prefix of app entries (RedisVL's ``{name}:{entry_id}``)."""
    return f"{name}:"


def whole_key(name: str, generation: str, agent_type: str) -> str:
    """Key (a string) that exists as long as all entries of one agent_type of a generation exist: it expires no later
    than the first of them.

    A match rule was certified on all entries of its agent_type, so it is not applied once some are gone. The key is
    under the generation's prefix, so that it is removed with it; the index contains hashes only.
    """
    return f"{key_prefix(name, generation)}whole:{_digest(agent_type)}"


def _digest(agent_type: str) -> str:
    """Replaces an agent_type in a key, since it may contain any character."""
    return hashlib.sha256(agent_type.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def taken_out_key(name: str, generation: str) -> str:
    """Set of the entry ids of a generation that were taken out of service; under its prefix, like ``whole_key``."""
    return f"{key_prefix(name, generation)}taken_out"


def withdrawn_key(name: str) -> str:
    """Hash of withdrawn answers, which no generation may serve."""
    return f"{RESERVED}:{name}:withdrawn"


def ledger_lock_key(name: str) -> str:
    """Lock of the list of withdrawn answers. It is not the publishing lock: a withdrawal never waits for a publish."""
    return f"{RESERVED}:{name}:ledger"


def wrong_hits_key(name: str) -> str:
    """Hash of reported wrong hits (cachewarm_client.wrong_hit_reports)."""
    return f"{RESERVED}:{name}:wrong_hits"


def is_entry_id(text: str) -> bool:
    """Whether a text has the form of an entry id (64 hex digits); nothing else may become part of a key."""
    return bool(_ENTRY_ID.fullmatch(text))


def warmed_entry(name: str, key: str) -> tuple[str, str] | None:
    """Generation and entry id of a warmed entry's key; None for any other key."""
    prefix = f"{RESERVED}:{name}:"
    generation, _, entry = key.removeprefix(prefix).rpartition(":")
    return (generation, entry) if key.startswith(prefix) and generation and is_entry_id(entry) else None


def generations_key(name: str) -> str:
    """Hash of a cache's generations: one JSON record per generation, and the fields ``live`` and ``pinned``."""
    return f"{RESERVED}:{name}:generations"


def lock_key(name: str) -> str:
    """Lock that allows only one publish at a time."""
    return f"{RESERVED}:{name}:lock"


def stats_key(name: str, hour: str) -> str:
    """Hash of one hour's counters; ``hour`` is UTC ``YYYYMMDDHH``."""
    return f"{RESERVED}:{name}:stats:{hour}"


def arms_key(name: str, day: str) -> str:
    """Hash of one day's lookups by arm and bucket (cachewarm_client.arms); ``day`` is UTC ``YYYYMMDD``."""
    return f"{RESERVED}:{name}:arms:{day}"


def shadow_key(name: str, app_entry: str) -> str:
    """String that exists while a cold cache would contain the application's answer to this very prompt.

    ``app_entry``: ``cachewarm_client.lookup.app_entry_id``. Nothing is served from it
    (cachewarm_client.cold_cache_shadow).
    """
    return f"{RESERVED}:{name}:shadow:{app_entry}"


def stores_key(name: str, agent_type: str) -> str:
    """String that exists while the application stores answers of an agent_type: the seconds that they live, 0 for
    ever."""
    return f"{RESERVED}:{name}:stores:{_digest(agent_type)}"


def served_key(name: str, hour: str) -> str:
    """Hash of how often each warmed entry answered in one hour, by entry id; ``hour`` is UTC ``YYYYMMDDHH``."""
    return f"{RESERVED}:{name}:served:{hour}"


def generation_id(as_of: date, plan_hash: str) -> str:
    """Id of a plan's generation: the day and the plan's hash, so re-running an unchanged plan names the same one."""
    return f"{as_of:%Y%m%d}-{plan_hash[:12]}"


def ttl_seconds(entry: str, ttl_days: float, jitter: float) -> int:
    """Seconds to live of an entry, spread by +-``jitter`` by a hash of its id.

    It is stable over re-runs, and entries do not all expire at once.
    """
    fraction = int.from_bytes(hashlib.sha256(entry.encode()).digest()[:4], "big") / 2**32
    return max(1, round(ttl_days * 86_400 * (1 + jitter * (2 * fraction - 1))))


def may_replace(live_as_of: date, as_of: date, allow_rollback: bool, live_is_partial: bool = False) -> bool:
    """Whether a plan of ``as_of`` may become live: never over a newer day, unless ``allow_rollback``.

    ``live_is_partial``: the live plan was made before its day was over. Then the plan of the day before, which is
    complete, may replace it: otherwise a warming at night would block the daily run.
    """
    oldest = live_as_of - timedelta(days=1) if live_is_partial else live_as_of
    return as_of >= oldest or allow_rollback
