"""Freshness: whether warmed answers are still right, how fast answers change, and what later plans must exclude.

In: the newest warming plan, the day's candidates, the query log and the stored `entry_payback`. Out: the datasets
`answer_checks` (one row for each stale or checked entry, the refresh queue first), `change_checks` and `change_rates`;
for planning, what may be warmed; for publishing, a TTL for each agent_type.

    assets, answer_checks_page   the Dagster asset `answer_checks` and its page
    answer_checks_service        the checks of a day: sample, compare, measure the rate, mark, answer the queue
    answer_comparison_service    checks of single answers, by the log's later answers or by a model's fresh ones
    check_sample                 which queries are checked, and which of their checks count for the rate
    answer_history               the earlier and the later answer of the log to one query, and their comparison
    change_rate, ttl             the change rate with its interval; the TTL and the age limit that follow from it
    answer_check_rows            the rows of `answer_checks`: which entries are stale and why, and their order
    current_candidates           what today's candidates say about the entries of a plan
    answer_age                   when an answer was last confirmed, and how old it may be
    stale_reasons, stale_answers the reasons for which an entry is stale; what a plan does about stale answers
    withdrawn_entries            the ledger of answers that were withdrawn because they are wrong
    idle_entries, stored_payback when entries without hits leave the plan and come back; the stored `entry_payback`
    service                      what is stored about freshness as of a day, for other stages
    rows                         the typed rows that several of these files share
"""
