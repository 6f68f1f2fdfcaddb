"""Experiments that the command line runs in a small size, and what it says to wrong settings."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxmargin.experiments import EXPERIMENTS
from jaxmargin.experiments.harness.command_line import main


class Reproduced(NamedTuple):
    """The JSON file that a run left, and its arrays."""

    record: dict[str, Any]
    series: dict[str, np.ndarray]


def reproduce(name: str, out: Path, *arguments: str) -> Reproduced:
    """Run an experiment; it must end well and leave nothing but its four files."""
    with jax.numpy_dtype_promotion("standard"):  # optax's adam is not strict
        assert main(["reproduce", name, "--out", str(out), *arguments]) == 0
    written = sorted(path.name for path in out.iterdir())
    assert written == [f"{name}.{ending}" for ending in ("json", "pdf", "png", "svg")]
    for ending, begin in (("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")):
        assert (out / f"{name}.{ending}").read_bytes().startswith(begin)
    record = json.loads((out / f"{name}.json").read_text())
    return Reproduced(record, {key: np.array(values) for key, values in record["series"].items()})


def refusal(capsys, out: Path, *arguments: str) -> str:
    """Run a command that must fail with one line on standard error, and leave nothing in `out`."""
    known = len(arguments) > 1 and arguments[1] in EXPERIMENTS
    assert main([*arguments, *(["--out", str(out)] if known else [])]) in (1, 2)
    error = capsys.readouterr().err
    assert error.startswith("jaxmargin: ")
    assert error.count("\n") == 1
    assert not list(out.iterdir())
    return error
