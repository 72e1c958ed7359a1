"""How often the warmed cache hits and is wrong on held-out days of the synthetic sample, by its own truth.

`uv run python -m benchmarks.wrong_hits`: warms for a day of the sample, then looks up every clean question of the two
days after it, once through `WarmedSemanticCache` and once through a stock `SemanticCache` with the same distance.
Questions whose answer changes between calls are always wrong when they hit. Synthetic: it shows that the words matter,
not what your traffic will bring.
"""

import os
import tempfile
import time
from collections import Counter
from datetime import date, timedelta
from pathlib import Path

from redisvl.extensions.cache.llm import SemanticCache
from redisvl.query.filter import Tag

from cachewarm_pipeline.embedded.redis_server import stop_redis
from cachewarm_pipeline.embedded.sample import ensure_sample
from cachewarm_pipeline.embedded.sample.truth import Truth, day_rows
from cachewarm_pipeline.serving import WarmedSemanticCache

LAST_DAY = date(2026, 3, 20)
HELD_OUT = 2


def questions(folder: Path, days: list[date]) -> Counter[tuple[str, str]]:
    """Clean questions of the days with an agent_type, and how often each was asked."""
    asked: Counter[tuple[str, str]] = Counter()
    for day in days:
        for row in day_rows(folder, day).to_pylist():
            if not row["dirty"] and row["query"] and row["agent_type"]:
                asked[row["agent_type"], row["query"]] += 1
    return asked


def warm(home: Path, source: Path, as_of: date) -> str:
    """Warm into a home of its own; the URL of its Redis."""
    os.environ.update(CACHEWARM_HOME=str(home), CACHEWARM_SOURCE_URL=str(source))
    from cachewarm_pipeline.cli.warm import run_warm
    from cachewarm_pipeline.resources.workspace import Workspace
    from cachewarm_pipeline.settings import load_settings

    report, stopped, _ = run_warm(load_settings(), as_of, quiet=False, started=time.monotonic())
    assert stopped is None, stopped
    print(f"warmed {report['entries']} as of {as_of}")
    return Workspace().redis_url


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        home, source = Path(folder) / "home", Path(folder) / "sample"
        ensure_sample(source, seed=7, last_day=LAST_DAY)
        days = [LAST_DAY - timedelta(days=n) for n in range(HELD_OUT)]
        try:
            url = warm(home, source, min(days) - timedelta(days=1))
            truth = Truth(source, days)
            counts: Counter[str] = Counter()
            with WarmedSemanticCache(name="cachewarm", redis_url=url) as cache:
                threshold = 0.03
                stock = SemanticCache(
                    name="cachewarm",
                    redis_url=url,
                    create_index=False,
                    vectorizer=cache.vectorizer,
                    distance_threshold=threshold,
                    filterable_fields=[{"name": "agent_type", "type": "tag"}],
                )
                for (agent_type, prompt), times in questions(source, days).items():
                    counts["lookups"] += times
                    found = cache.check(prompt=prompt, agent_type=agent_type)
                    match = found[0]["match"] if found else "miss"
                    counts[match] += times
                    if found and not truth.is_right(agent_type, prompt, found[0]["response"]):
                        counts[f"{match} wrong"] += times
                    if match == "exact":
                        continue
                    plain = stock.check(prompt=prompt, filter_expression=Tag("agent_type") == agent_type)
                    counts["stock semantic"] += bool(plain) * times
                    if plain and not truth.is_right(agent_type, prompt, plain[0]["response"]):
                        counts["stock semantic wrong"] += times
        finally:
            stop_redis(home)
    total = counts["lookups"]
    print(f"{total:,} lookups of {HELD_OUT} held-out days")
    for kind, label in (
        ("exact", "exact hits"),
        ("semantic", "semantic hits, words compared"),
        ("stock semantic", f"stock reader at {threshold}, no exact hit"),
    ):
        wrong = counts[f"{kind} wrong"]
        share = wrong / counts[kind] if counts[kind] else 0.0
        print(
            f"  {label:<40} {counts[kind] / total:7.2%} of lookups, {wrong:>4} of {counts[kind]:>5} wrong ({share:.1%})"
        )


if __name__ == "__main__":
    main()
