"""Schemas of what was measured: lookups by arm, hits by entry, money spent and earned."""

import pyarrow as pa

from cachewarm_pipeline.storage.schema_fields import TIMESTAMP
from cachewarm_pipeline.storage.schema_fields import column as _field

ARM_COUNTS = pa.schema(
    [
        _field("arm", pa.string(), "warmed | holdout"),
        _field("agent_type", pa.string(), "tenant or category"),
        _field("bucket", pa.int64(), "of the user's hash: 0 to 15"),
        _field("hits", pa.int64(), "answered lookups; holdout: or a cold cache that everybody fills would have"),
        _field("lookups", pa.int64(), "of readers that have a holdout; those that raised are among them, as no hits"),
    ]
)

HOUR_COUNTS = pa.schema(
    [
        _field("hour", TIMESTAMP, "beginning of the UTC hour"),
        _field("arm", pa.string(), "warmed | holdout"),
        _field("agent_type", pa.string(), "tenant or category"),
        _field("exact", pa.int64(), "lookups answered by their exact prompt"),
        _field("semantic", pa.int64(), "lookups answered by meaning"),
        _field("misses", pa.int64(), "lookups that were not answered"),
        _field("warmed_hits", pa.int64(), "of the hits, answered by a warmed entry; the others by the application's"),
        _field("hit_seconds", pa.float64(), "time of the hits together"),
        _field("miss_seconds", pa.float64(), "time of the misses together"),
        _field("would_hits", pa.int64(), "holdout: not served, but a cold cache that everybody fills would have"),
        _field("errors", pa.int64(), "lookups that raised, which are in no other column but would_hits"),
    ]
)

ENTRY_HITS = pa.schema(
    [
        _field("entry_id", pa.string(), "hash of canonical prompt and agent_type"),
        _field("agent_type", pa.string(), "tenant or category; empty where the entry is not known any more"),
        _field("prompt", pa.string(), "original spelling; empty likewise"),
        _field("source", pa.string(), "golden | query_log | synthetic; empty likewise"),
        _field(
            "cost_usd",
            pa.float64(),
            "mean cost of the call that a hit saves, where it is not known of its agent_type; null: neither",
            nullable=True,
        ),
        _field("generation", pa.string(), "generation that it was in at the end of the day; null: in none", True),
        _field("whole_day", pa.bool_(), "whether it was live from the day's beginning to its end"),
        _field("hits", pa.int64(), "lookups that it answered on the day"),
        _field("last_hit", TIMESTAMP, "beginning of the last hour with a hit; null without one", nullable=True),
    ]
)
"""A row for each entry that was live at the end of the day, hits or not, and for each other one that had hits."""

ENTRY_PAYBACK = pa.schema(
    [
        _field("entry_id", pa.string(), "hash of canonical prompt and agent_type"),
        _field("agent_type", pa.string(), "tenant or category; empty where it was never known"),
        _field("prompt", pa.string(), "original spelling; empty likewise"),
        _field("source", pa.string(), "golden | query_log | synthetic; empty likewise"),
        _field("live", pa.bool_(), "whether it was live at the end of the newest counted day"),
        _field("first_day", pa.date32(), "day on which it was first counted"),
        _field("hits", pa.int64(), "lookups that it answered in the last 90 days"),
        _field("hits_7", pa.int64(), "of these, in the last 7 days"),
        _field("hits_28", pa.int64(), "of these, in the last 28 days"),
        _field("hits_a_day", pa.float64(), "of the last 28 days' days_looked_up; null with under 7 of them", True),
        _field("last_hit", TIMESTAMP, "beginning of the last hour with a hit; null: none so far", nullable=True),
        _field("whole_days", pa.int64(), "of the last 90 days, those on which it was live from begin to end"),
        _field("days_looked_up", pa.int64(), "of these, those on which its agent_type had lookups enough to count"),
        _field("cost_usd", pa.float64(), "mean cost of the call that a hit saves, as last known", nullable=True),
        _field(
            "recovered_usd", pa.float64(), "hits x cost of their day, wrong hits not taken off; null: unpriced", True
        ),
        _field("unpriced_hits", pa.int64(), "hits on days on which the cost of a call was not known"),
        _field("made_usd", pa.float64(), "even share of what runs paid in the 90 days; null: not recorded", True),
        _field(
            "payback", pa.float64(), "recovered_usd / made_usd; null where one is not known or nothing was paid", True
        ),
        _field("idle_days", pa.int64(), "days_looked_up in a row without a hit; of one that left: when it did"),
        _field("average_hits", pa.float64(), "hits that an average entry of its agent_type had on these idle_days"),
        _field("left_on", pa.date32(), "since when plans leave it out as it earned nothing; null: they do not", True),
        _field("times_left", pa.int64(), "how often it has left since its last hit"),
        _field("reports", pa.int64(), "different people who report its answer as wrong, nothing done about it yet"),
        _field("negative", pa.int64(), "answers to its question that users rejected in the log since its first day"),
        _field("checked_at", TIMESTAMP, "when its answer was checked last; null: not checked", nullable=True),
        _field("changed", pa.bool_(), "whether that check found another answer; null: not checked", nullable=True),
        _field(
            "verdicts",
            pa.list_(pa.string()),
            "what speaks against it: reported, withdrawn, reinstated, changed, rejected, idle",
        ),
    ]
)
"""A row for each entry that was counted in the last 90 days or is left out as idle, most hits first."""

USAGE = pa.schema(
    [
        _field("at", TIMESTAMP, "when it was written down"),
        _field("run_id", pa.string(), "of the run that paid"),
        _field("asset", pa.string(), "what the run was making"),
        _field("day", pa.date32(), "for which day"),
        _field("purpose", pa.string(), "embedding | generation | judging"),
        _field("model", pa.string(), "as the server calls it"),
        _field("prompt_tokens", pa.int64(), "as reported"),
        _field("completion_tokens", pa.int64(), "as reported"),
        _field("usd_per_million_prompt_tokens", pa.float64(), "price"),
        _field("usd_per_million_completion_tokens", pa.float64(), "price"),
        _field("share", pa.float64(), "part of the price that was paid: 0.5 in a batch"),
        _field("usd", pa.float64(), "tokens x price x share"),
        _field("prices_as_of", pa.date32(), "when the prices were looked up"),
    ]
)

WARMING_IMPACT = pa.schema(
    [
        _field("scope", pa.string(), "total | agent_type | rest | day | source | before | after"),
        _field("name", pa.string(), "agent_type, UTC day or source; empty for the other scopes"),
        _field("days", pa.int64(), "days that the row is of"),
        _field("hits", pa.int64(), "answered lookups of the warmed arm, all readers; before and after: of both"),
        _field("lookups", pa.int64(), "lookups likewise"),
        _field("hit_rate", pa.float64(), "hits / lookups; null without any, and where hits are not known", True),
        _field("share", pa.float64(), "of a source: its part of all hits", True),
        _field("warmed_hits", pa.int64(), "answered lookups of the warmed arm, of readers that have a holdout"),
        _field("warmed_lookups", pa.int64(), "lookups likewise"),
        _field("holdout_hits", pa.int64(), "of the holdout: what a cold cache that everybody fills would answer"),
        _field("holdout_lookups", pa.int64(), "lookups likewise"),
        _field("holdout_hit_rate", pa.float64(), "their ratio: of a cold cache, not of what was served; or null", True),
        _field("lift", pa.float64(), "hit rate of the warmed arm minus holdout_hit_rate; null: see why", True),
        _field("lift_low", pa.float64(), "low end of its 95% interval", True),
        _field("lift_high", pa.float64(), "high end likewise", True),
        _field("basis", pa.string(), "what the interval rests on: buckets | days", True),
        _field("generation", pa.string(), "of a day: live at its end", True),
        _field("forecast_hit_rate", pa.float64(), "of a day: what the replay behind that generation expected", True),
        _field("forecast_lift", pa.float64(), "of a day: likewise, over a cold cache", True),
        _field("inside", pa.bool_(), "of a day: whether forecast_lift lies in the interval of the lift", True),
        _field("why", pa.string(), "what is missing and for which reason, or how to read the row; empty: nothing"),
    ]
)
"""A row for the whole (total), each agent_type, those with too few users together (rest), each counted day, each source
(golden, query_log, synthetic, application, unknown), and the plain hit rates before and after the first warming."""

_MONEY = {
    "extra_hits": "hits a day over what there would be without warming",
    "wrong_hits": "wrong hits a day that warming adds; high end: all of warmed entries",
    "saved_usd": "USD a day: (extra_hits - wrong_hits) x call_usd",
    "harm_usd": "USD a day: wrong_hits x wrong_hit_usd; null where that is not set",
    "savings_usd": "USD a day: saved_usd - harm_usd - running_usd; before harm where wrong_hit_usd is null",
}

NET_RETURN = pa.schema(
    [
        _field("basis", pa.string(), "expected (by the replay) | measured (over the holdout)"),
        _field("agent_type", pa.string(), "empty: all together"),
        _field("days", pa.int64(), "days that the hits were counted over"),
        *(
            _field(name + end, pa.float64(), what + told, True)
            for name, what in _MONEY.items()
            for end, told in (("", ""), ("_low", ", low end of its range"), ("_high", ", high end of its range"))
        ),
        _field("served_hits", pa.float64(), "hits a day by warmed entries, extra or not"),
        _field("wrong_share", pa.float64(), "of those, wrong by the replay's judged hits; null: none was judged", True),
        _field("call_usd", pa.float64(), "mean cost of a call by the log; null for all together", True),
        _field("wrong_hit_usd", pa.float64(), "harm of a wrong hit, as set; null: it is not", nullable=True),
        _field("running_usd", pa.float64(), "USD a day: refreshing, judging, memory"),
        _field("memory_usd", pa.float64(), "USD a day, of running_usd: memory, an estimate"),
        _field("warming_usd", pa.float64(), "USD once: all that was paid until a plan was live"),
        _field("payback_days", pa.float64(), "warming_usd / savings_usd; null: never, or not known", True),
        _field("payback_days_low", pa.float64(), "by the high end of the savings", True),
        _field("payback_days_high", pa.float64(), "by the low end of the savings", True),
        _field(
            "break_even_harm_usd", pa.float64(), "harm of a wrong hit at which savings are 0; null: see returns", True
        ),
        _field("break_even_harm_low_usd", pa.float64(), "by the cautious ends", True),
        _field("why", pa.string(), "what is missing and for which reason; empty: nothing"),
    ]
)
"""Of each basis a row for each agent_type and one for all together."""

MEASURED: dict[str, pa.Schema] = {
    "arm_counts": ARM_COUNTS,
    "hour_counts": HOUR_COUNTS,
    "entry_hits": ENTRY_HITS,
    "entry_payback": ENTRY_PAYBACK,
    "usage": USAGE,
    "warming_impact": WARMING_IMPACT,
    "net_return": NET_RETURN,
}
