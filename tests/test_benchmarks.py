"""The benchmark suite: what it runs, writes and compares."""

import json
from pathlib import Path

import jax.numpy as jnp
import pytest
from click.testing import CliRunner

from benchmarks import __main__ as command
from benchmarks.suite import records
from benchmarks.suite.measuring import Benchmark, Sides, measure


def tiny(value: int) -> Sides:
    return Sides(lambda: jnp.ones(value), {"wrong": lambda: 1.5 * jnp.ones(value)}, tolerance=0.1)


def run(*arguments: str):
    return CliRunner().invoke(command.main, list(arguments))


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two small benchmarks in place of all."""
    right = Benchmark("a/right", "n", (4, 8), lambda n: tiny(n)._replace(tolerance=1.0), "plain")
    wrong = Benchmark("b/wrong", "n", (4,), tiny, "plain")
    chosen = {benchmark.name: benchmark for benchmark in (right, wrong)}
    monkeypatch.setattr(command, "BENCHMARKS", chosen)
    monkeypatch.setattr("benchmarks.suite.measuring.SECONDS", 0.001)


MISSING = {"setting": "plain", "peers": [], "distance": {}}  # of the rows of `record_of`


def record_of(*medians: float) -> records.Record:
    rows = [
        {"name": f"a/{i}", "axis": "n", "value": 1,
         "seconds": {"ours": {"low": 0.9 * median, "median": median, "high": 1.1 * median}}}
        for i, median in enumerate(medians)
    ]  # fmt: skip
    return {"machine": "a machine", "rows": rows}


def test_a_measurement_has_both_sides_and_their_distance():
    row = measure(Benchmark("a", "n", (4,), tiny, "plain"), 4)
    assert row["distance"] == {"wrong": pytest.approx(0.5)}
    assert not row["agree"]
    for seconds in row["seconds"].values():
        assert 0 < seconds["low"] <= seconds["median"] <= seconds["high"]
    assert row["first"] > 0


@pytest.mark.usefixtures("few")
def test_a_run_writes_a_record_that_can_be_shown_and_compared(tmp_path: Path):
    path, picture = tmp_path / "record.json", tmp_path / "ratios.png"
    done = run("run", "a", "--output", str(path))
    assert done.exit_code == 0
    assert "| `a/right` | n = 8; plain |" in done.output
    assert "`a/right` in n:" in done.output
    assert [row["value"] for row in json.loads(path.read_text())["rows"]] == [4, 8]
    shown = run("show", str(path), "--picture", str(picture))
    assert shown.exit_code == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert run("compare", str(path), str(path)).exit_code == 0


@pytest.mark.usefixtures("few")
def test_answers_that_differ_fail():
    done = run("run", "b", "--smallest")
    assert done.exit_code == 1
    assert "the sides disagree: b/wrong" in done.output


def test_what_became_slower_fails(tmp_path: Path):
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    records.save(old, record_of(1.0, 1.0, 1.0))
    records.save(new, record_of(1.15, 2.0, 0.5))  # within the spread, beyond it, and faster
    done = run("compare", str(old), str(new))
    assert done.exit_code == 1
    assert "1 of 3 are slower: a/1, n = 1: 2.00 times (1.64 to 2.44)" in done.output


@pytest.mark.usefixtures("few")
def test_wrong_names_and_files_are_named(tmp_path: Path):
    assert "no benchmark begins with zzz" in run("run", "zzz").output
    bad = tmp_path / "bad.json"
    bad.write_text("{}")
    done = run("show", str(bad))
    assert done.exit_code == 1
    assert "bad.json is no record of `python -m benchmarks run`" in done.output


def test_the_pages_show_the_record_that_is_committed():
    root = Path(__file__).parents[1]
    record = records.load(root / "benchmarks" / "records" / "two-cores.json")
    for name in ("benchmarks", "running"):
        page = (root / "docs" / f"{name}.md").read_text()
        assert records.filled(page, record) == page
    assert "| `train` | 0." in page


def test_a_page_gets_the_blocks_of_a_record(tmp_path: Path):
    path, page = tmp_path / "record.json", tmp_path / "page.md"
    row = record_of(0.25)["rows"][0] | {"name": "a/fit, small", "first": 1.26}
    records.save(path, {"machine": "a machine", "rows": [row | MISSING]})
    page.write_text("Before.\n<!-- first calls -->\nold\n<!-- end -->\nAfter.\n")
    assert run("show", str(path), "--page", str(page)).exit_code == 0
    *_, made, end, after = page.read_text().splitlines()
    assert (made, end, after) == ("| `fit` | 1.3 | 250 |", "<!-- end -->", "After.")


def test_every_name_is_listed():
    listed = run("list").output
    assert all(name in listed for name in command.BENCHMARKS)
