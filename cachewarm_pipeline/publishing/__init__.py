"""Publishes the plan of a day to Redis, and takes answers out of service that are reported as wrong.

In: the day's plan, vectors and match rules that passed the gates (proof); reports of wrong hits from Redis and negative
feedback from the log. Out: the live generation in Redis; the ledger of withdrawn entries that later plans exclude.

assets.py, checks.py        the assets `cache_entries` and `live_cache`, and the check after publishing
service.py                  publishes the plan of a day, at once or progressively
redis/                      generations in Redis: load, verify, switch, roll back, withdraw
withdrawal_service.py       withdraws confirmed wrong answers, in Redis and in the ledger; reinstates entries
withdrawn_answers.py        which answers are withdrawn, and what a generation has to change for them (pure)
wrong_hit_attribution.py    which entries gave the answers that users rejected (pure)
wrong_hit_confirmation.py   how many different people must report a wrong hit; which reports are too old (pure)
cache_ports.py              what these services need from a run
"""
