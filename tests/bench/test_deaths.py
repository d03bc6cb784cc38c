"""A worker dies, then the command: each run has one result in the end, and nothing goes on."""

import sys

import pytest
from deaths import sweep_with_deaths

RUNS, WORKER_AT, COMMAND_AT = 7, 2, 4


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the system sends it on Linux")
@pytest.mark.parametrize("engine", [[], ["--dask"]], ids=["local", "dask"])
def test_after_deaths_every_run_is_there_once(engine, tmp_path):
    died = sweep_with_deaths(
        tmp_path, engine, runs=RUNS, worker_at=WORKER_AT, command_at=COMMAND_AT, wait_s=60
    )
    assert died.left_running == 0
    assert died.later == died.when_killed < RUNS
    assert len(died.results) == RUNS
    assert set(died.results.values()) == {1}
    assert died.executions <= RUNS + 3  # what was killed with the worker and with the command
