"""Reports of wrong hits in Redis: counted by readers in one step each, read and cleared by whoever acts on them."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import redis

from cachewarm_client.generation_record import LIVE_FIELD
from cachewarm_client.keys import app_prefix, generations_key, key_prefix, warmed_entry, wrong_hits_key
from cachewarm_client.redis_search_commands import text
from cachewarm_client.wrong_hit_reports import (
    MAX_REPORTERS,
    MAX_REPORTS,
    WrongHitReport,
    reporter_sha,
    response_sha,
    shortened,
)

logger = logging.getLogger(__name__)

_REFUSED = "refused"
"""Field that counts reports for which there was no room; no report's field is so short."""

# One step, so that reports which come together are all counted. 1: counted, 0: no room.
_REPORT = """#!lua
local found = redis.call('HGET', KEYS[1], ARGV[1])
local known, report = false, nil
if found then known, report = pcall(cjson.decode, found) end
if not known or type(report) ~= 'table' or type(report.reporters) ~= 'table' then
  if not found and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[8]) then
    redis.call('HINCRBY', KEYS[1], 'refused', 1)
    return 0
  end
  report = {entry_id=ARGV[2], response_sha=ARGV[3], agent_type=ARGV[4], reporters={}, reports=0, first_at=ARGV[6]}
end
local new = #report.reporters < tonumber(ARGV[9])
for _, reporter in ipairs(report.reporters) do if reporter == ARGV[5] then new = false end end
if new then table.insert(report.reporters, ARGV[5]); table.sort(report.reporters) end
report.reports = (tonumber(report.reports) or 0) + 1
report.last_at = ARGV[6]
if ARGV[7] ~= '' then report.why = ARGV[7] end
redis.call('HSET', KEYS[1], ARGV[1], cjson.encode(report))
return 1
"""


@dataclass(frozen=True)
class Reported:
    """A wrong hit as an application tells it: a hit's key, and what the hit itself says where it is at hand."""

    key: str
    agent_type: str | None
    response: str | None
    reporter: str | None
    why: str
    at: datetime

    @classmethod
    def of(cls, hit_or_key: Any, reporter: str | None, why: str, at: datetime) -> "Reported":
        """Of a hit or its key. Raises TypeError and ValueError for something else."""
        hit = hit_or_key if isinstance(hit_or_key, dict) else {"key": hit_or_key}
        key = hit.get("key") or hit.get("id")
        if not isinstance(key, str | bytes):
            raise TypeError("report_wrong_hit takes a hit of check(), or its 'key'")
        if not (reporter is None or isinstance(reporter, str)) or not isinstance(why, str):
            raise TypeError("reporter and why must be strings")
        given = {name: value for name in ("agent_type", "response") if isinstance(value := hit.get(name), str)}
        return cls(text(key), given.get("agent_type"), given.get("response"), reporter, why, at)


def report(client: "redis.Redis", name: str, wrong: Reported) -> bool:
    """Count a report; False for an entry of the application's own, one that is gone, and where there is no room.

    Raises ValueError for a key that is none of this cache, and redis-py's exceptions.
    """
    found = warmed_entry(name, wrong.key)
    if found is None:
        if wrong.key.startswith(app_prefix(name)):
            return False
        raise ValueError(f"{wrong.key!r:.120} is no key of an entry of the cache {name!r}")
    agent_type, response = wrong.agent_type, wrong.response
    if agent_type is None or response is None:
        there = _of_entry(client, name, *found)
        if there is None:
            return False
        agent_type, response = agent_type or there[0], there[1] if response is None else response
    return count(
        client, name, found[1], response_sha(response), agent_type, reporter_sha(wrong.reporter), wrong.at, wrong.why
    )


def count(
    client: "redis.Redis", name: str, entry: str, sha: str, agent_type: str, reporter: str, at: datetime, why: str
) -> bool:
    """Count a report of an answer by a reporter (``reporter_sha``); False where there is no room for another answer.

    A reporter counts once, however often. Raises redis-py's exceptions.
    """
    said = [entry, sha, agent_type, reporter, at.isoformat(), shortened(why), MAX_REPORTS, MAX_REPORTERS]
    return bool(client.eval(_REPORT, 1, wrong_hits_key(name), f"{entry}:{sha}", *map(str, said)))


def _of_entry(client: "redis.Redis", name: str, generation: str, entry: str) -> tuple[str, str] | None:
    """Agent type and answer of an entry, of the generation that was named or else of the live one."""
    live: Any = client.hget(generations_key(name), LIVE_FIELD)
    for one in dict.fromkeys([generation, *([text(live)] if live else [])]):
        values: Any = client.hmget(key_prefix(name, one) + entry, ["agent_type", "response"])
        if None not in values:
            return text(values[0]), text(values[1])
    return None


def read_reports(client: "redis.Redis", name: str) -> list[WrongHitReport]:
    """What was reported, the last report first. A report that cannot be read is left out, which the log tells.

    Raises redis-py's exceptions.
    """
    fields: Any = client.hgetall(wrong_hits_key(name))
    found = []
    for field, value in ((text(field), text(value)) for field, value in fields.items()):
        if field == _REFUSED:
            logger.warning("%s reports of wrong hits were refused: %s answers are reported already", value, MAX_REPORTS)
            continue
        try:
            found.append(WrongHitReport.from_json(value))
        except (ValueError, KeyError, TypeError):
            logger.warning("the report %.40s of a wrong hit is damaged and left out", field)
    return sorted(found, key=lambda one: (one.last_at, one.entry_id, one.response_sha), reverse=True)


def clear_reports(client: "redis.Redis", name: str, reports: Iterable[WrongHitReport]) -> int:
    """Forget these reports; returns how many there were. Raises redis-py's exceptions."""
    fields = [f"{report.entry_id}:{report.response_sha}" for report in reports]
    if not fields:
        return 0
    client.hdel(wrong_hits_key(name), _REFUSED)
    gone: Any = client.hdel(wrong_hits_key(name), *fields)
    return int(gone)
