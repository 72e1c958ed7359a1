"""Names, ids and states of generations: what a version of the plan is called in Redis. No Redis here."""

import hashlib
import re
from datetime import date

from cachewarm_pipeline.core.errors import ConfigurationError

RESERVED = "warm"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def check_name(name: str) -> str:
    """The name itself when it can name a cache.

    Raises ConfigurationError for an empty or long name, for characters that would blur key prefixes, and for
    ``warm``: its prefix ``warm:`` would swallow the keys of every other cache.
    """
    if name == RESERVED:
        raise ConfigurationError("the cache name 'warm' is reserved: its key prefix holds every cache's generations")
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"cache name {name!r} is not usable: take 1 to 64 letters, digits, '_', '-' or '.', starting with a letter "
            "or digit"
        )
    return name


def index_name(name: str, generation: str) -> str:
    """Name of a generation's search index."""
    return f"{RESERVED}:{name}:{generation}"


def key_prefix(name: str, generation: str) -> str:
    """Key prefix of a generation's entries; it ends in ':' so that no other generation's prefix begins with it."""
    return f"{RESERVED}:{name}:{generation}:"


def app_prefix(name: str) -> str:
    """Key prefix of the application's own write-backs (RedisVL's ``{name}:{entry_id}``)."""
    return f"{name}:"


def whole_key(name: str, generation: str) -> str:
    """Key that is there as long as every entry of a generation is: it expires with the first of them. A match rule was
    certified on all entries, so it decides nothing once some are gone."""
    return f"{RESERVED}:{name}:whole:{generation}"


def generations_key(name: str) -> str:
    """Hash of a cache's generations: one JSON record a generation, and the field ``live``."""
    return f"{RESERVED}:{name}:generations"


def lock_key(name: str) -> str:
    """Key of the lock that keeps two publishing runs apart."""
    return f"{RESERVED}:{name}:lock"


def stats_key(name: str, hour: str) -> str:
    """Hash of one hour's counters; ``hour`` is UTC ``YYYYMMDDHH``."""
    return f"{RESERVED}:{name}:stats:{hour}"


def generation_id(as_of: date, plan_hash: str) -> str:
    """Id of a plan's generation: the day and the plan's hash, so an unchanged re-run names the one that is there."""
    return f"{as_of:%Y%m%d}-{plan_hash[:12]}"


def ttl_seconds(entry: str, ttl_days: float, jitter: float) -> int:
    """TTL of an entry, spread by +-``jitter`` by a hash of its id: stable over re-runs, no expiry storm."""
    fraction = int.from_bytes(hashlib.sha256(entry.encode()).digest()[:4], "big") / 2**32
    return max(1, round(ttl_days * 86_400 * (1 + jitter * (2 * fraction - 1))))


def may_replace(live_as_of: date, as_of: date, allow_rollback: bool) -> bool:
    """Whether a plan of ``as_of`` may become live: never over a newer day, unless told to."""
    return as_of >= live_as_of or allow_rollback
