"""The reason of a failed run: in the log and at the webhook, with the error's message and without secrets."""

import json
import logging
from collections.abc import Iterator

import dagster as dg
import pytest
from pydantic import SecretStr
from pytest_httpserver import HTTPServer

from cachewarm_pipeline.automation.run_state import failure_of
from cachewarm_pipeline.errors import CacheError
from cachewarm_pipeline.settings import Settings
from tests.support.pipeline import QUIET, report_failure


@dg.asset
def entries() -> None:
    try:
        raise ValueError("inner")
    except ValueError as error:
        raise CacheError("lost Redis while publishing: connection refused; run again when it is back") from error


@dg.asset
def plan() -> None:
    pass


@dg.asset_check(asset=plan, blocking=True)
def quality() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=False, description="3 of 10 entries are below their floor.")


@dg.asset(deps=[plan])
def after() -> None:
    raise AssertionError("a gate stands before this")


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def hook() -> Iterator[HTTPServer]:
    with HTTPServer(host="127.0.0.1", port=0) as server:
        yield server


def run(instance: dg.DagsterInstance, *names: str) -> dg.ExecuteInProcessResult:
    """A run of these assets that fails."""
    assets = [asset for asset in (entries, plan, after) if asset.key.path[0] in names]
    job = dg.define_asset_job("warm_cache", selection=dg.AssetSelection.assets(*names))
    defs = dg.Definitions(assets=assets, asset_checks=[quality] if "plan" in names else [], jobs=[job])
    result = defs.resolve_job_def("warm_cache").execute_in_process(
        instance=instance, run_config=QUIET, raise_on_error=False, tags={"cachewarm/started_by": "daily schedule"}
    )
    assert not result.success
    return result


def logged(caplog: pytest.LogCaptureFixture) -> str:
    """What was logged, except by the test's own server."""
    return "".join(record.getMessage() for record in caplog.records if record.name != "werkzeug")


def test_the_reason_is_the_message_of_the_root_cause(instance: dg.DagsterInstance) -> None:
    found = failure_of(instance, run(instance, "entries").run_id)
    assert found.reason == "entries: lost Redis while publishing: connection refused; run again when it is back"
    assert not found.stopped_by_gate


def test_the_reason_of_a_run_that_a_gate_stopped_is_the_gates_sentence(instance: dg.DagsterInstance) -> None:
    found = failure_of(instance, run(instance, "plan", "after").run_id)
    assert found.reason == "quality: 3 of 10 entries are below their floor."
    assert found.stopped_by_gate


def test_a_failed_run_is_posted_and_logged(
    instance: dg.DagsterInstance, hook: HTTPServer, caplog: pytest.LogCaptureFixture
) -> None:
    hook.expect_oneshot_request("/hook", method="POST").respond_with_data("ok")
    result = run(instance, "entries")
    with caplog.at_level(logging.ERROR):
        report_failure(result, instance, Settings(name="shop", alert_webhook=SecretStr(hook.url_for("/hook"))))
    body = json.loads(hook.log[0][0].data)
    assert body["reason"].startswith("entries: lost Redis")
    assert body["run_id"] == result.run_id
    assert "'shop': warm_cache failed (started by daily schedule): entries: lost Redis" in body["text"]
    assert "lost Redis while publishing" in caplog.text


@pytest.mark.parametrize("status", [404, 500])
def test_a_webhook_that_refuses_is_logged_without_its_url(
    instance: dg.DagsterInstance, hook: HTTPServer, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    hook.expect_request("/hook-s3cret").respond_with_data("no", status=status)
    report_failure(run(instance, "entries"), instance, Settings(alert_webhook=SecretStr(hook.url_for("/hook-s3cret"))))
    assert f"refused (HTTP {status}): check CACHEWARM_ALERT_WEBHOOK" in caplog.text
    assert "s3cret" not in logged(caplog)


def test_an_unreachable_webhook_is_logged_without_its_url(
    instance: dg.DagsterInstance, caplog: pytest.LogCaptureFixture
) -> None:
    report_failure(
        run(instance, "entries"), instance, Settings(alert_webhook=SecretStr("http://127.0.0.1:1/hook-s3cret"))
    )
    assert "could not be posted (ConnectionError)" in caplog.text
    assert "s3cret" not in logged(caplog)


def test_without_a_webhook_the_log_has_the_reason(
    instance: dg.DagsterInstance, caplog: pytest.LogCaptureFixture
) -> None:
    report_failure(run(instance, "entries"), instance, Settings())
    assert "lost Redis while publishing" in caplog.text
