"""A killed run blocks nothing: the next `cachewarm warm` marks it as failed and frees its pool."""

import dagster as dg
from dagster._core.storage.dagster_run import DagsterRunStatus
from dagster._core.test_utils import create_run_for_test

from cachewarm_pipeline.cli.dagster_runs import end_dead_runs

TAGS = {"cachewarm/started_by": "cachewarm warm"}


def test_the_pool_slot_of_a_killed_warm_is_freed_without_a_daemon() -> None:
    with dg.instance_for_test() as instance:
        pools = instance.event_log_storage
        pools.initialize_concurrency_limit_to_default("openai")
        pools.set_concurrency_slots("openai", 1)
        killed = create_run_for_test(instance, status=DagsterRunStatus.STARTED, tags=TAGS)
        assert pools.claim_concurrency_slot("openai", killed.run_id, "embeddings").is_claimed
        assert not pools.claim_concurrency_slot("openai", "next", "embeddings").is_claimed
        end_dead_runs(instance, TAGS)
        found = instance.get_run_by_id(killed.run_id)
        assert found
        assert found.status == DagsterRunStatus.FAILURE
        assert pools.claim_concurrency_slot("openai", "next", "embeddings").is_claimed


def test_a_running_run_that_warm_did_not_start_keeps_its_pool_slot() -> None:
    with dg.instance_for_test() as instance:
        pools = instance.event_log_storage
        pools.set_concurrency_slots("openai", 1)
        running = create_run_for_test(instance, status=DagsterRunStatus.STARTED)
        assert pools.claim_concurrency_slot("openai", running.run_id, "embeddings").is_claimed
        end_dead_runs(instance, TAGS)
        assert not pools.claim_concurrency_slot("openai", "next", "embeddings").is_claimed
