"""One seed of benchmarks/quality.py: the real pipeline in a home of its own, then lookups for the whole traffic.

The lookups go through `WarmedSemanticCache`. ``Hindsight`` has the data to compute what another rule over the same
entries would have done.
"""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
from cachewarm_client.match_rules import MatchRules
from cachewarm_client.text import cut, embedding_key
from numpy.typing import NDArray

from benchmarks.cache_setup import PreparedEmbedder
from benchmarks.quality_sources import Case, TrafficPrompt
from cachewarm_pipeline.embedded.redis_server import stop_redis
from cachewarm_pipeline.models.embed_new_texts import embed_new_texts
from cachewarm_pipeline.workspace.workspace import Workspace

NAME = "quality"
STOCK_DISTANCE = 0.03
"""A strict distance that a team may choose for a stock reader without a certificate."""

_AFFECTED_BY_TARGET = ("match_rules", "replay", "cache_entries")
"""The assets that depend on the target; their checks run with them."""

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Warmed:
    """The result of the pipeline for one target."""

    why_not: str
    """What stopped the publish; empty when published."""
    rules: MatchRules
    """As certified, before a gate withheld any."""
    live: MatchRules
    """As published."""
    forecast: dict[str, Any]
    """Summary of the replay."""
    seconds: float


@dataclass(frozen=True)
class Hindsight:
    """The data for other rules, one value for each wording of the traffic, exact hits included.

    Numbers are -inf where the agent_type has no entries."""

    score: Floats
    """Score of the entry that the model picks."""
    right: Bools
    """Whether the picked entry is right."""
    similarity: Floats
    """Similarity of the nearest entry."""
    nearest_right: Bools
    """Whether the nearest entry is right."""


@dataclass(frozen=True)
class Answers:
    """The outcome of each lookup: exact hit, semantic hit, served the right answer."""

    exact: Bools
    semantic: Bools
    right: Bools


@dataclass
class Trial:
    """One case in a home of its own. Made by ``trial``."""

    case: Case
    vectors: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    """Vectors of the traffic's prompts, as a lookup embeds them."""
    _warm: bool = False

    @property
    def workspace(self) -> Workspace:
        """A workspace with the settings of the environment, like that of the pipeline."""
        return Workspace()

    def embed_traffic(self) -> None:
        workspace = self.workspace
        texts = sorted({cut(asked.prompt) for asked in self.case.traffic})
        embed_new_texts(workspace.embedder, workspace.vectors, texts)
        model = workspace.embedder.info.id
        self.vectors = dict(
            zip(texts, workspace.vectors.get([embedding_key(model, text) for text in texts]), strict=True)
        )

    def warm(self, target: float, assets: Sequence[str] = _AFFECTED_BY_TARGET, **settings: object) -> Warmed:
        """Publishes for a target.

        The first call does all of `cachewarm warm`. Later ones materialize only ``assets``: those that the new target
        or the changed ``settings`` affect. Exits the program if the pipeline fails for another reason than a gate."""
        os.environ["CACHEWARM_MAX_WRONG_HIT_RATE"] = str(target)
        os.environ.update({f"CACHEWARM_{name.upper()}": str(value) for name, value in settings.items()})
        started = time.monotonic()
        why_not = self._materialize(assets) if self._warm else self._warm_all(started)
        self._warm = True
        from cachewarm_pipeline.match_rules.rule_tables import rules_of
        from cachewarm_pipeline.proof.replay_summary import summarise_replay
        from cachewarm_pipeline.proof.service import BOOTSTRAP_SEED

        workspace, day = self.workspace, self.case.as_of
        read = partial(workspace.datasets.read, day=day)
        rules, live = rules_of(read("match_rules")), workspace.cache.live()
        forecast = summarise_replay(
            read("replay"), read("replay_decisions"), delta=workspace.settings.delta, seed=BOOTSTRAP_SEED
        )
        published = live.match_rules if live and not why_not else MatchRules.exact_only()
        return Warmed(why_not, rules, published, forecast, time.monotonic() - started)

    def _warm_all(self, started: float) -> str:
        from cachewarm_pipeline.cli.warm import run_warm

        report, stopped, _ = run_warm(self.workspace.settings, self.case.as_of, quiet=True, started=started)
        if stopped and not report["blocked_by"]:
            raise SystemExit(f"the pipeline failed: {stopped}")
        return ", ".join(report["blocked_by"])

    def _materialize(self, assets: Sequence[str]) -> str:
        import dagster as dg

        from cachewarm_pipeline.definitions import defs

        with dg.DagsterInstance.get() as instance:
            result = defs.resolve_job_def("warm_cache").execute_in_process(
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
                instance=instance,
                partition_key=self.case.as_of.isoformat(),
                asset_selection=[dg.AssetKey(name) for name in assets],
                raise_on_error=False,
            )
        blocking = [
            check.check_name
            for check in result.get_asset_check_evaluations()
            if check.blocking and not check.passed and check.severity == dg.AssetCheckSeverity.ERROR
        ]
        if not result.success and not blocking:
            raise SystemExit(f"the pipeline failed: {[str(event) for event in result.filter_events(_is_failure)]}")
        return ", ".join(blocking)

    def look_up(self) -> Answers:
        """Looks every wording of the traffic up, in order, through the cache that an application would open."""
        from cachewarm_client.cache import WarmedSemanticCache

        workspace, traffic = self.workspace, self.case.traffic
        embedder = PreparedEmbedder(self.vectors, workspace.embedder.info)
        with WarmedSemanticCache(NAME, workspace.redis_url, embedder=embedder) as cache:
            found = [cache.check(prompt=asked.prompt, agent_type=asked.agent_type) for asked in traffic]
        kinds = [hits[0]["match"] if hits else "miss" for hits in found]
        right = [bool(hits) and self._right(asked, hits) for asked, hits in zip(traffic, found, strict=True)]
        return Answers(
            np.array([k == "exact" for k in kinds]), np.array([k == "semantic" for k in kinds]), _bools(right)
        )

    def look_up_stock(self) -> Answers:
        """Looks the traffic up through a stock reader with an agent_type filter and STOCK_DISTANCE."""
        from cachewarm_client.vectorizer import EmbedderVectorizer
        from redisvl.extensions.cache.llm import SemanticCache
        from redisvl.query.filter import Tag

        workspace, traffic = self.workspace, self.case.traffic
        info = workspace.embedder.info
        stock = SemanticCache(
            name=NAME,
            redis_url=workspace.redis_url,
            create_index=False,
            vectorizer=EmbedderVectorizer(vars(info), PreparedEmbedder(self.vectors, info)),
            distance_threshold=STOCK_DISTANCE,
            filterable_fields=[{"name": "agent_type", "type": "tag"}],
        )
        found = [
            stock.check(prompt=cut(asked.prompt), filter_expression=Tag("agent_type") == asked.agent_type)
            for asked in traffic
        ]
        stock.disconnect()
        right = [bool(hits) and self._right(asked, hits) for asked, hits in zip(traffic, found, strict=True)]
        return Answers(np.zeros(len(traffic), bool), np.array([bool(hits) for hits in found]), _bools(right))

    def _right(self, asked: TrafficPrompt, hits: Sequence[Mapping[str, Any]]) -> bool:
        return self.case.right(asked, hits[0]["response"])

    def hindsight(self) -> Hindsight:
        """Scores of the learned model and plain similarities on the traffic, independent of what was certified.

        The model is learned again for a target that everything meets. This is the model of the pipeline, because
        neither weights nor space depend on the target."""
        from cachewarm_pipeline.match_rules.learn_rules import learn_rules
        from cachewarm_pipeline.match_rules.rule_tables import agent_logs
        from cachewarm_pipeline.models.embed_new_texts import vectors_of

        workspace, day = self.workspace, self.case.as_of
        plan = workspace.datasets.read("warming_plan", day)
        labelled = workspace.datasets.read("labelled_queries", day)
        logs = agent_logs(
            plan, labelled, partial(vectors_of, workspace.embedder, workspace.vectors), workspace.judge(lambda _: None)
        )
        learned = learn_rules(logs, alpha=0.99, delta=0.5)
        count = len(self.case.traffic)
        found = Hindsight(
            np.full(count, -np.inf), np.zeros(count, bool), np.full(count, -np.inf), np.zeros(count, bool)
        )
        for agent_type in sorted({asked.agent_type for asked in self.case.traffic}):
            places = np.array([i for i, a in enumerate(self.case.traffic) if a.agent_type == agent_type])
            entries = plan.filter(pc.equal(plan["agent_type"], agent_type))
            if entries.num_rows:
                rule, scorer = learned.rules.for_agent_type(agent_type), learned.scorers.get(agent_type)
                self._describe(found, places, entries, rule, scorer, workspace)
        return found

    def _describe(
        self, found: Hindsight, places: NDArray[np.int64], entries: Any, rule: Any, scorer: Any, workspace: Workspace
    ) -> None:
        from cachewarm_client.words import tokens

        from cachewarm_pipeline.match_rules.learn_rules import rows_similarity
        from cachewarm_pipeline.match_rules.match_model_fit import Labelled, Scorer, describe

        traffic = [self.case.traffic[place] for place in places]
        count = entries.num_rows
        own = workspace.vectors.get(entries["embedding_key"].to_pylist())
        _, groups = np.unique(entries["answer_group"].to_pylist(), return_inverse=True)
        prompts = [cut(asked.prompt) for asked in traffic]
        data = Labelled(
            np.concatenate((own, np.stack([self.vectors[prompt] for prompt in prompts]))),
            np.concatenate((groups, np.full(len(traffic), -1))),
            [tokens(text) for text in (*entries["prompt"].to_pylist(), *prompts)],
        )
        queries = np.arange(count, count + len(traffic))
        rows, picked, nearest = describe(data, np.arange(count), scorer or Scorer.unlearned(count), queries)
        responses = entries["response"].to_pylist()
        if rule.model:
            found.score[places] = rule.model.score(rows)
            found.right[places] = self._all_right(traffic, picked, responses)
        found.similarity[places] = rows_similarity(data, queries, nearest)
        found.nearest_right[places] = self._all_right(traffic, nearest, responses)

    def _all_right(
        self, traffic: Sequence[TrafficPrompt], entries: NDArray[Any], responses: Sequence[str]
    ) -> list[bool]:
        return [
            self.case.right(asked, responses[entry]) for asked, entry in zip(traffic, entries.tolist(), strict=True)
        ]


def _bools(values: Sequence[bool]) -> Bools:
    return np.array(values, bool)


def _is_failure(event: Any) -> bool:
    return bool(event.is_step_failure)


@contextmanager
def trial(case: Case, home: Path, vectors: Path) -> Iterator[Trial]:
    """A trial in a home of its own, with the settings of the case in the environment.

    ``vectors`` is the folder for vectors that trials share. At the end, the embedded Redis is stopped and the
    environment restored."""
    before = dict(os.environ)
    for name in before:
        if name.startswith(("CACHEWARM_", "OPENAI_", "DAGSTER_")):
            del os.environ[name]
    os.environ.update({f"CACHEWARM_{name.upper()}": value for name, value in case.settings.items()})
    os.environ.update(CACHEWARM_HOME=str(home), CACHEWARM_NAME=NAME, CACHEWARM_SOURCE_URL=str(case.source))
    try:
        (home / "data").mkdir(parents=True)
        vectors.mkdir(parents=True, exist_ok=True)
        # Vectors are content-addressed, so a text embedded for one random seed is not embedded again for another.
        (home / "data" / "vectors").symlink_to(vectors.absolute())
        found = Trial(case)
        found.embed_traffic()
        yield found
    finally:
        stop_redis(home)
        os.environ.clear()
        os.environ.update(before)
