"""Benchmarks: speed as a ratio measured within one run, and quality on data whose truth is known. They are not tests.

Run one with `uv run python -m benchmarks.NAME`. Its docstring describes the method and has the measured numbers; the
results are collected in docs/benchmarks.md. DIR is a folder with the labelled files, see match_rules_data.py.

Speed:
- backfill: a range of days as one Dagster run, against a plain loop. About 22 s (mining) and 4 minutes (candidates) for
  each side and round; `--short` for a smoke run.
- counting: what counting and a holdout add to a lookup.
- embedding: sorted batches of short texts, against one text at a time.
- load: loading a plan into Redis, against RedisVL's `store()`, on loopback and with a round trip.
- lookup: a lookup of our reader, against a stock `check()`.
- mining: one day with a short and a long history, a large day, and the rollup of a month.
- neighbours: the nearest-neighbour index, against an exact comparison.

Quality:
- impact: whether the interval of the measured lift covers the true lift. About a minute for 300 trials.
- match_rules `--data DIR`: learned match rules, against a plain distance.
- promise: whether the certificate keeps its promise, beside threshold optimisers.
- quality `--data DIR`: the whole pipeline on labelled questions.
- selection `[--data DIR]`: entries chosen by coverage, against two fixed orders. `--scale`: 100,000 candidates, 50 s.

Shared: cache_setup, delay_proxy and process_memory (speed); match_rules_data, quality_run, quality_sources and
selection_scale (quality); certificate_simulation, lift_simulation and spillover_simulation (drawn data with a known
truth).
"""
