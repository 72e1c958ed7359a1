"""Schemas of measurements: lookups by arm, hits by entry, money spent and saved."""

import pyarrow as pa

from cachewarm_pipeline.storage.schema_fields import TIMESTAMP
from cachewarm_pipeline.storage.schema_fields import column as _field

ARM_COUNTS = pa.schema(
    [
        _field("arm", pa.string(), "warmed | holdout"),
        _field("agent_type", pa.string(), "tenant or category"),
        _field("bucket", pa.int64(), "bucket of the user's hash: 0 to 15"),
        _field(
            "hits",
            pa.int64(),
            "answered lookups; holdout: including those that a cold cache, filled by everybody, would have answered",
        ),
        _field(
            "lookups",
            pa.int64(),
            "lookups by readers that have a holdout; those that raised an error are included and are not hits",
        ),
    ]
)

HOUR_COUNTS = pa.schema(
    [
        _field("hour", TIMESTAMP, "start of the UTC hour"),
        _field("arm", pa.string(), "warmed | holdout"),
        _field("agent_type", pa.string(), "tenant or category"),
        _field("exact", pa.int64(), "exact hits: lookups answered by the entry of the same canonical prompt"),
        _field("semantic", pa.int64(), "semantic hits: lookups answered by the entry of another prompt"),
        _field("misses", pa.int64(), "lookups that were not answered"),
        _field("warmed_hits", pa.int64(), "hits answered by a warmed entry; the others were answered by app entries"),
        _field("hit_seconds", pa.float64(), "total time of the hits"),
        _field("miss_seconds", pa.float64(), "total time of the misses"),
        _field(
            "would_hits", pa.int64(), "holdout: lookups that a cold cache, filled by everybody, would have answered"
        ),
        _field("errors", pa.int64(), "lookups that raised an error; besides here, they count only in would_hits"),
    ]
)

ENTRY_HITS = pa.schema(
    [
        _field("entry_id", pa.string(), "hash of the canonical prompt and the agent_type"),
        _field("agent_type", pa.string(), "tenant or category; empty if the entry is no longer known"),
        _field("prompt", pa.string(), "the prompt as spelled; empty if not known"),
        _field("source", pa.string(), "golden | query_log | synthetic; empty if not known"),
        _field(
            "cost_usd",
            pa.float64(),
            "mean cost of the call that a hit saves, or else the mean of its agent_type; null if neither is known",
            nullable=True,
        ),
        _field("generation", pa.string(), "generation that had it at the end of the day; null: none", True),
        _field("whole_day", pa.bool_(), "whether it was live for the whole day"),
        _field("hits", pa.int64(), "lookups that it answered on the day"),
        _field("last_hit", TIMESTAMP, "start of the last hour with a hit; null without one", nullable=True),
    ]
)
"""A row for each entry that was live at the end of the day or had hits on it."""

ENTRY_PAYBACK = pa.schema(
    [
        _field("entry_id", pa.string(), "hash of the canonical prompt and the agent_type"),
        _field("agent_type", pa.string(), "tenant or category; empty if it was never known"),
        _field("prompt", pa.string(), "the prompt as spelled; empty if not known"),
        _field("source", pa.string(), "golden | query_log | synthetic; empty if not known"),
        _field("live", pa.bool_(), "whether it was live at the end of the newest counted day"),
        _field("first_day", pa.date32(), "first day on which it was counted"),
        _field("hits", pa.int64(), "lookups that it answered in the last 90 days"),
        _field("hits_7", pa.int64(), "hits in the last 7 days"),
        _field("hits_28", pa.int64(), "hits in the last 28 days"),
        _field(
            "hits_a_day",
            pa.float64(),
            "hits per day, over the days_looked_up in the last 28 days; null with fewer than 7",
            True,
        ),
        _field("last_hit", TIMESTAMP, "start of the last hour with a hit; null: none so far", nullable=True),
        _field("whole_days", pa.int64(), "days of the last 90 on which it was live for the whole day"),
        _field("days_looked_up", pa.int64(), "of these, days on which its agent_type had enough lookups to count"),
        _field("cost_usd", pa.float64(), "mean cost of the call that a hit saves, as last known", nullable=True),
        _field(
            "recovered_usd",
            pa.float64(),
            "hits x cost of a call on their day, wrong hits included; null: no cost known",
            True,
        ),
        _field("unpriced_hits", pa.int64(), "hits on days on which the cost of a call was not known"),
        _field("made_usd", pa.float64(), "equal share of what runs paid in the 90 days; null: not recorded", True),
        _field(
            "payback", pa.float64(), "recovered_usd / made_usd; null if either is not known, or nothing was paid", True
        ),
        _field("idle_days", pa.int64(), "days_looked_up in a row without a hit, up to when plans excluded it"),
        _field("average_hits", pa.float64(), "hits of an average entry of its agent_type on these idle_days"),
        _field(
            "left_on", pa.date32(), "since when plans exclude it because it earned nothing; null: they do not", True
        ),
        _field("times_left", pa.int64(), "how often plans have excluded it since its last hit"),
        _field("reports", pa.int64(), "distinct people who report its answer as wrong; open reports only"),
        _field("negative", pa.int64(), "answers to its prompt that users rejected in the log since first_day"),
        _field("checked_at", TIMESTAMP, "when its answer was last checked; null: not checked", nullable=True),
        _field("changed", pa.bool_(), "whether that check found another answer; null: not checked", nullable=True),
        _field(
            "verdicts",
            pa.list_(pa.string()),
            "reasons to review it: reported, withdrawn, reinstated, changed, rejected, idle",
        ),
    ]
)
"""A row for each entry that was counted in the last 90 days or is excluded as idle, most hits first."""

USAGE = pa.schema(
    [
        _field("at", TIMESTAMP, "when the row was written"),
        _field("run_id", pa.string(), "the run that paid"),
        _field("asset", pa.string(), "the asset that the run was materialising"),
        _field("day", pa.date32(), "the day that it was materialised for"),
        _field("purpose", pa.string(), "embedding | generation | judging"),
        _field("model", pa.string(), "name of the model on its server"),
        _field("prompt_tokens", pa.int64(), "as the server reported them, or the most that they can be"),
        _field("completion_tokens", pa.int64(), "as the server reported them, or the most that they can be"),
        _field("usd_per_million_prompt_tokens", pa.float64(), "price of prompt tokens"),
        _field("usd_per_million_completion_tokens", pa.float64(), "price of completion tokens"),
        _field("share", pa.float64(), "part of the price that was paid: 0.5 in a batch"),
        _field("usd", pa.float64(), "tokens x price x share"),
        _field("prices_as_of", pa.date32(), "when the prices were looked up"),
    ]
)

WARMING_IMPACT = pa.schema(
    [
        _field("scope", pa.string(), "total | agent_type | rest | day | source | before | after"),
        _field("name", pa.string(), "agent_type, UTC day or source; empty for the other scopes"),
        _field("days", pa.int64(), "number of days in the row"),
        _field("hits", pa.int64(), "answered lookups of the warmed arm, all readers; before and after: of both arms"),
        _field("lookups", pa.int64(), "lookups of the same arm and readers"),
        _field("hit_rate", pa.float64(), "hits / lookups; null without lookups, or if hits are not known", True),
        _field("share", pa.float64(), "scope source: its share of all hits", True),
        _field("warmed_hits", pa.int64(), "answered lookups of the warmed arm, by readers that have a holdout"),
        _field("warmed_lookups", pa.int64(), "lookups of the warmed arm, by readers that have a holdout"),
        _field("holdout_hits", pa.int64(), "holdout lookups that a cold cache, filled by everybody, would answer"),
        _field("holdout_lookups", pa.int64(), "lookups of the holdout"),
        _field(
            "holdout_hit_rate",
            pa.float64(),
            "hit rate of the cold cache: holdout_hits / holdout_lookups, or null",
            True,
        ),
        _field("lift", pa.float64(), "hit rate of the warmed arm minus holdout_hit_rate; null: see why", True),
        _field("lift_low", pa.float64(), "low end of the 95% interval of the lift", True),
        _field("lift_high", pa.float64(), "high end of the 95% interval of the lift", True),
        _field("basis", pa.string(), "what the interval is computed over: buckets | days", True),
        _field("generation", pa.string(), "scope day: generation that was live at its end", True),
        _field(
            "forecast_hit_rate", pa.float64(), "scope day: hit rate that the replay of that generation forecast", True
        ),
        _field("forecast_lift", pa.float64(), "scope day: lift over a cold cache that the replay forecast", True),
        _field("inside", pa.bool_(), "scope day: whether forecast_lift is in the interval of the lift", True),
        _field("why", pa.string(), "what is missing and why, or how to read the row; empty: nothing to say"),
    ]
)
"""Rows by scope: one for everything (total); one for each agent_type, and one for those with too few users together
(rest); one for each counted day; one for each source (golden, query_log, synthetic, application, unknown); and the
plain hit rates before and after the first warming."""

_MONEY = {
    "extra_hits": "hits a day beyond those without warming",
    "wrong_hits": "wrong hits a day that warming adds; high end: all wrong hits of warmed entries",
    "saved_usd": "USD a day: (extra_hits - wrong_hits) x call_usd",
    "harm_usd": "USD a day: wrong_hits x wrong_hit_usd; null if wrong_hit_usd is not set",
    "savings_usd": "USD a day: saved_usd - harm_usd - running_usd; without harm_usd if wrong_hit_usd is null",
}

NET_RETURN = pa.schema(
    [
        _field("basis", pa.string(), "expected (by the replay) | measured (against the holdout)"),
        _field("agent_type", pa.string(), "empty: all agent types together"),
        _field("days", pa.int64(), "number of days on which the hits were counted"),
        *(
            _field(name + end, pa.float64(), what + end_text, True)
            for name, what in _MONEY.items()
            for end, end_text in (("", ""), ("_low", ", low end of its range"), ("_high", ", high end of its range"))
        ),
        _field("served_hits", pa.float64(), "hits a day by warmed entries, extra or not"),
        _field(
            "wrong_share",
            pa.float64(),
            "share of them that is wrong, by the judged hits of the replay; null: none judged",
            True,
        ),
        _field("call_usd", pa.float64(), "mean cost of a call in the log; null for all agent types together", True),
        _field("wrong_hit_usd", pa.float64(), "harm of a wrong hit, as set; null: not set", nullable=True),
        _field("running_usd", pa.float64(), "USD a day for refreshing, judging and memory"),
        _field("memory_usd", pa.float64(), "USD a day for memory, included in running_usd; an estimate"),
        _field("warming_usd", pa.float64(), "USD once: everything paid until a plan was live"),
        _field("payback_days", pa.float64(), "warming_usd / savings_usd; null: never, or not known", True),
        _field("payback_days_low", pa.float64(), "at the high end of the savings", True),
        _field("payback_days_high", pa.float64(), "at the low end of the savings", True),
        _field(
            "break_even_harm_usd",
            pa.float64(),
            "harm of a wrong hit at which savings are 0; null: see measurement.returns",
            True,
        ),
        _field("break_even_harm_low_usd", pa.float64(), "at the cautious ends of all ranges", True),
        _field("why", pa.string(), "what is missing and why; empty: nothing"),
    ]
)
"""For each basis, a row for each agent_type and one for all together."""

MEASURED: dict[str, pa.Schema] = {
    "arm_counts": ARM_COUNTS,
    "hour_counts": HOUR_COUNTS,
    "entry_hits": ENTRY_HITS,
    "entry_payback": ENTRY_PAYBACK,
    "usage": USAGE,
    "warming_impact": WARMING_IMPACT,
    "net_return": NET_RETURN,
}
"""The schema of each measurement, by dataset."""
