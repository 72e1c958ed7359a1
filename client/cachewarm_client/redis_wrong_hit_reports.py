"""Reports of wrong hits in Redis: readers count them, the pipeline reads and clears them."""

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
"""Field that counts reports for which there was no room; the fields of reports are longer, so none has this name."""

# One atomic step, so that simultaneous reports are all counted. Returns 1: counted, 0: no room.
_COUNT_REPORT = """#!lua
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
class WrongHit:
    """A wrong hit as an application reports it."""

    key: str
    agent_type: str | None
    """As the hit has it; None where only the key was reported."""
    response: str | None
    """As the hit has it; None where only the key was reported."""
    reporter: str | None
    """The user who reports; not hashed yet."""
    why: str
    at: datetime

    @classmethod
    def of(cls, hit_or_key: Any, reporter: str | None, why: str, at: datetime) -> "WrongHit":
        """The wrong hit of a hit or its key. Raises TypeError for anything else."""
        hit = hit_or_key if isinstance(hit_or_key, dict) else {"key": hit_or_key}
        key = hit.get("key") or hit.get("id")
        if not isinstance(key, str | bytes):
            raise TypeError("report_wrong_hit() needs a hit of check(), or the 'key' of one")
        if not (reporter is None or isinstance(reporter, str)) or not isinstance(why, str):
            raise TypeError("reporter and why must be strings")
        texts = {name: value for name in ("agent_type", "response") if isinstance(value := hit.get(name), str)}
        return cls(text(key), texts.get("agent_type"), texts.get("response"), reporter, why, at)


def store_report(client: "redis.Redis", name: str, wrong: WrongHit) -> bool:
    """Count a report; False for an app entry, for an entry that is gone, and where there is no room.

    Raises ValueError for a key of another cache, and redis-py's exceptions.
    """
    found = warmed_entry(name, wrong.key)
    if found is None:
        if wrong.key.startswith(app_prefix(name)):
            return False
        raise ValueError(f"{wrong.key!r:.120} is not the key of an entry of the cache {name!r}")
    agent_type, response = wrong.agent_type, wrong.response
    if agent_type is None or response is None:
        stored = _stored_answer(client, name, *found)
        if stored is None:
            return False
        agent_type, response = agent_type or stored[0], stored[1] if response is None else response
    return count_report(
        client, name, found[1], response_sha(response), agent_type, reporter_sha(wrong.reporter), wrong.at, wrong.why
    )


def count_report(
    client: "redis.Redis", name: str, entry: str, sha: str, agent_type: str, reporter: str, at: datetime, why: str
) -> bool:
    """Count a report of an answer (``response_sha``) by a reporter (``reporter_sha``); False where there is no room for
    another answer.

    A reporter counts once, however often they report. Raises redis-py's exceptions.
    """
    arguments = [entry, sha, agent_type, reporter, at.isoformat(), shortened(why), MAX_REPORTS, MAX_REPORTERS]
    return bool(client.eval(_COUNT_REPORT, 1, wrong_hits_key(name), f"{entry}:{sha}", *map(str, arguments)))


def _stored_answer(client: "redis.Redis", name: str, generation: str, entry: str) -> tuple[str, str] | None:
    """Agent type and answer of an entry: of the given generation, or else of the live one; None where it is gone."""
    live: Any = client.hget(generations_key(name), LIVE_FIELD)
    for one in dict.fromkeys([generation, *([text(live)] if live else [])]):
        values: Any = client.hmget(key_prefix(name, one) + entry, ["agent_type", "response"])
        if None not in values:
            return text(values[0]), text(values[1])
    return None


def read_reports(client: "redis.Redis", name: str) -> list[WrongHitReport]:
    """All reports, the latest first. A report that cannot be read is skipped and logged.

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
            logger.warning("the report %.40s of a wrong hit is damaged and was skipped", field)
    return sorted(found, key=lambda one: (one.last_at, one.entry_id, one.response_sha), reverse=True)


def clear_reports(client: "redis.Redis", name: str, reports: Iterable[WrongHitReport]) -> int:
    """Delete these reports; returns how many existed. Raises redis-py's exceptions."""
    fields = [f"{report.entry_id}:{report.response_sha}" for report in reports]
    if not fields:
        return 0
    client.hdel(wrong_hits_key(name), _REFUSED)
    deleted: Any = client.hdel(wrong_hits_key(name), *fields)
    return int(deleted)
