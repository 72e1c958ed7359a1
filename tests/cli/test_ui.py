"""Dagster's pages in a real headless browser: the graph, a failed check, and an asset."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.support.pipeline import environment
from tests.support.source_data import DAY, log_row, write_parquet

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(
    BROWSER is None,
    reason="no browser: install Chromium (`apt-get install chromium`) or Google Chrome, so that it is on the PATH",
)
MILLISECONDS = 30_000
"""How long to wait until a page shows what is expected; on a busy machine this takes seconds."""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[str]:
    """Dagster's webserver on an instance in which a gate stopped a day: its log has one query, asked once."""
    from cachewarm_pipeline.cli.dagster_runs import prepare_dagster_home
    from cachewarm_pipeline.definitions import defs
    from cachewarm_pipeline.settings import load_settings

    folder = tmp_path_factory.mktemp("ui")
    values = {
        "CACHEWARM_HOME": str(folder / "home"),
        "CACHEWARM_SOURCE_URL": write_parquet(folder / "log", {"llm_query_logs": [log_row("Asked once?")]}),
        "CACHEWARM_REDIS_URL": redis_url,
        "CACHEWARM_NAME": "t-ui",
        "CACHEWARM_JUDGE": "exact",
    }
    with environment(values):
        prepare_dagster_home(load_settings())
        with dg.DagsterInstance.get() as instance:
            done = defs.resolve_job_def("warm_cache").execute_in_process(
                instance=instance, partition_key=str(DAY), raise_on_error=False
            )
        assert not done.success
        port = free_port()
        command = [sys.executable, "-m", "dagster_webserver", "-h", "127.0.0.1", "-p", str(port)]
        with (folder / "log.txt").open("w") as log:
            server = subprocess.Popen(
                [*command, "-m", "cachewarm_pipeline.definitions"], env=dict(os.environ), stdout=log, stderr=log
            )
        try:
            wait_until_it_answers(f"http://127.0.0.1:{port}/server_info", server, folder / "log.txt")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(30)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_it_answers(url: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"the webserver does not answer: {log.read_text()[-2000:]}")


@pytest.fixture(scope="module")
def page(address: str) -> Iterator[Page]:
    with sync_playwright() as playwright:
        # Root, as in a container, may not use the sandbox. The pages are trusted.
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(base_url=address, viewport={"width": 1440, "height": 1000})
        page.set_default_timeout(MILLISECONDS)
        expect.set_options(timeout=MILLISECONDS)
        yield page
        browser.close()


def test_the_graph_shows_the_way_from_the_sources_through_gates_to_the_live_cache(page: Page) -> None:
    page.goto("/asset-groups")
    for group in ("sources", "candidates", "verification", "cache"):
        expect(page.get_by_text(group, exact=True).first).to_be_visible()
    page.goto("/assets/live_cache?view=lineage&lineageScope=upstream&lineageDepth=9")
    for asset in ("live_cache", "cache_entries", "replay", "warming_plan", "daily_query_counts", "llm_query_logs"):
        expect(page.get_by_text(asset, exact=True).first).to_be_visible()


def test_the_page_of_a_failed_check_shows_what_is_wrong_and_what_to_do(page: Page) -> None:
    page.goto("/assets/warming_plan?view=checks&checkDetail=quality_threshold")
    expect(page.get_by_text("blocking asset check")).to_be_visible()
    expect(page.get_by_text("The plan is empty, so nothing is published").first).to_be_visible()
    expect(page.get_by_text("Failed", exact=True).first).to_be_visible()
    expect(page.get_by_text("what_to_do", exact=True)).to_be_visible()
    expect(page.get_by_text("CACHEWARM_MIN_FREQUENCY").first).to_be_visible()
    expect(page.get_by_text(str(DAY), exact=True).first).to_be_visible()


def test_the_page_of_an_asset_shows_owner_group_rows_and_columns(page: Page) -> None:
    page.goto("/assets/daily_query_counts")
    for text in ("ml-platform", "candidates", "Row count", "Columns", "agent_type", "hashed ids"):
        expect(page.get_by_text(text).first).to_be_visible()
