"""``mpicomp bench`` measures what it says it measures; how fast that is, is not judged here."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from mpicomp.bench import CASES, Case, Found
from tests.launch import run_python


@pytest.mark.parametrize("case", CASES[:4], ids=lambda case: f"{case.name} {case.n}")
def test_both_sides_do_the_same_work(case: Case) -> None:
    assert np.array_equal(case.serial(100), case.shared(100))


def test_a_ratio_is_told_by_what_the_ranks_can_give() -> None:
    def found(serial: float, shared: float) -> Found:
        return Found("case", 10, [serial], [shared])

    assert found(1.0, 0.25).meaning(4) == "sharing pays: 100% of what 4 ranks can give"
    assert found(1.0, 0.5).meaning(4) == "sharing pays a little"
    assert found(1.0, 1.0).meaning(4) == "as quick as alone"
    assert found(1e-3, 2e-3).meaning(4) == "too little work to share: a call costs 1 ms more"
    assert Found("case", 10, [1.0, 1.5], [1.0]).noise == 0.5


@pytest.mark.parametrize("ranks", ["1", "2"])
def test_a_run_prints_its_table_once_and_is_compared_with_the_last(
    ranks: str, tmp_path: Path
) -> None:
    command = ["-m", "mpicomp", "bench", "-n", ranks, "--quick", "--repeat", "1"]
    first, second = (
        run_python([*command, "--history", tmp_path / "history"]) for _ in range(2)
    )
    assert first.returncode == 0, first.stderr
    head, *table = first.stdout.splitlines()
    assert head.startswith(f"{ranks} rank")
    assert len(table) == 2 + len(CASES)
    assert "last time" not in first.stdout
    runs = [json.loads(line) for line in (tmp_path / "history").read_text().splitlines()]
    assert [run["ranks"] for run in runs] == [int(ranks)] * 2
    told = [float(ratio) for ratio in re.findall(r"last time ([\d.]+)", second.stdout)]
    assert told == [round(ratio, 2) for ratio in runs[0]["times_as_quick"].values()]
