"""What readers counted, and what it says about warming: lift, hits and payback of entries, net return.

In: counters in Redis, and the stored plan, replay, log counts and usage ledger. Out: HOUR_COUNTS, ARM_COUNTS and
ENTRY_HITS (`serving_counts`), ENTRY_PAYBACK, WARMING_IMPACT and NET_RETURN. `assets` and `checks` run these:

- Counters of a day: `serving_counts_service` reads them through `redis_day_counters` and decides whether they are
  stored; `counter_rows` and `entry_hits` turn them into tables.
- What each entry earned: `entry_payback_service` reads the stored days, `entry_payback_fold` folds them into one row an
  entry, with `prompts_in_log` (was it asked, were answers rejected) and `entry_verdicts` (what speaks against it).
- What warming brought: `lift/` computes the lift over the holdout, `impact_service` reads the days that it needs.
- What warming nets: `net_return/` computes savings, days to payback and break-even harm from the replay and the lift.
- `*_page`: what the pages of the assets show.
"""
