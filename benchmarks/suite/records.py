"""Records of the suite: as JSON, as a table, as a picture, and one against another."""

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from jaxmargin._files import written_whole

SLACK = 1.1  # by which a median must be slower, beside its spread, to count as a regression

Record = dict[str, Any]
Row = dict[str, Any]


def save(path: Path, record: Record) -> None:
    """Write the JSON file, whole or not at all."""
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n")


def load(path: Path) -> Record:
    """The record of a JSON file.

    Raises:
        ValueError: the file is no record of the suite.
    """
    try:
        record = json.loads(path.read_text())
        return {"machine": record["machine"], "rows": record["rows"]}
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is no record of `python -m benchmarks run`") from error


def table(record: Record) -> str:
    """The rows as a table in markdown."""
    head = ("benchmark", "size", "first call, s", "later, ms", "beside", "ratio", "distance")
    lines = [f"{record['machine']}", "", "| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for row in record["rows"]:
        ours = row["seconds"]["ours"]
        cells = [f"`{row['name']}`", f"{row['axis']} = {row['value']}; {row['setting']}"]
        cells += [f"{row['first']:.2f}", _milliseconds(ours)]
        others = [name for name in row["seconds"] if name != "ours"]
        for name in others or ["-"]:
            lines.append("| " + " | ".join([*cells, *_beside(row, name)]) + " |")
            cells = ["", "", "", ""]
    growth = [f"`{name}` in {axis}: {exponent:.2f}" for name, axis, exponent in exponents(record)]
    if growth:
        lines += ["", f"Exponents of growth: {'; '.join(growth)}."]
    return "\n".join(lines)


def _short(value: float) -> str:
    """Two digits, without powers of ten."""
    return f"{float(f'{value:.2g}'):,g}"


def first_calls(record: Record) -> str:
    """The rows of a newcomer's size as a table in markdown: first and later calls."""
    lines = ["| function | first call, s | later calls, ms |", "|---|---|---|"]
    for row in record["rows"]:
        name = row["name"].removesuffix(", small")
        if name != row["name"]:
            first, later = _short(row["first"]), _short(1e3 * row["seconds"]["ours"]["median"])
            lines.append(f"| `{name.partition('/')[2]}` | {first} | {later} |")
    return "\n".join(lines)


BLOCKS = {"table": table, "first calls": first_calls}


def filled(page: str, record: Record) -> str:
    """A page with its blocks made anew: `<!-- table -->` to `<!-- end -->`, say."""
    for name, made in BLOCKS.items():
        block = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        page = block.sub(lambda found, made=made: f"{found[1]}{made(record)}\n{found[2]}", page)
    return page


def _beside(row: Row, name: str) -> list[str]:
    """The name of another side, its time over ours, and how far its answer is."""
    if name == "-":
        return ["", "", ""]
    ratio = row["seconds"][name]["median"] / row["seconds"]["ours"]["median"]
    distance = row["distance"].get(name)
    return [name, f"{ratio:.2g}", "" if distance is None else f"{distance:.0e}"]


def _milliseconds(seconds: dict[str, float]) -> str:
    low, median, high = (1e3 * seconds[key] for key in ("low", "median", "high"))
    return f"{median:.3g} ({low:.3g} to {high:.3g})"


def _families(record: Record) -> dict[str, list[Row]]:
    families = defaultdict(list)
    for row in record["rows"]:
        families[row["name"]].append(row)
    return families


def exponents(record: Record) -> Iterator[tuple[str, str, float]]:
    """Name, axis, and the exponent of the time between the two largest sizes."""
    for name, rows in _families(record).items():
        if len(rows) < 2:
            continue
        times = [row["seconds"]["ours"]["median"] for row in rows[-2:]]
        sizes = [row["value"] for row in rows[-2:]]
        yield (
            name,
            rows[0]["axis"],
            float(np.log(times[1] / times[0]) / np.log(sizes[1] / sizes[0])),
        )


def draw(record: Record, path: Path) -> None:
    """A picture: the time of each peer over ours, for every row that has one; log axis."""
    bars = [
        (f"{row['name']}, {row['axis']} = {row['value']}: {name}",
         row["seconds"][name]["median"] / row["seconds"]["ours"]["median"])
        for row in record["rows"] for name in row["peers"]
    ]  # fmt: skip
    figure, axes = plt.subplots(figsize=(8, 1 + 0.28 * max(len(bars), 1)), layout="constrained")
    names, ratios = zip(*bars, strict=True) if bars else ((), ())
    places = np.arange(len(bars))
    axes.barh(places, np.array(ratios) - 1, left=1, color="C0")
    axes.set_yticks(places, names, fontsize=7)
    axes.invert_yaxis()
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_xlabel("time of the other over ours (right of the line: ours is faster)")
    axes.set_title(record["machine"], fontsize=7)
    with written_whole(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150)
    plt.close(figure)


def regressions(old: Record, new: Record) -> tuple[list[str], list[str]]:
    """A line for every row that both have, and those among them that are slower.

    A row counts as slower if its median rose by more than a tenth, and its faster runs are slower
    than the slower runs of before.
    """
    before = {(row["name"], row["value"]): row["seconds"]["ours"] for row in old["rows"]}
    lines, slower = [], []
    for row in new["rows"]:
        was, now = before.get((row["name"], row["value"])), row["seconds"]["ours"]
        if was is None:
            continue
        ratio = now["median"] / was["median"]
        lines.append(
            f"{row['name']}, {row['axis']} = {row['value']}: {ratio:.2f} times "
            f"({now['low'] / was['high']:.2f} to {now['high'] / was['low']:.2f})"
        )
        if ratio > SLACK and now["low"] > was["high"]:
            slower.append(lines[-1])
    return lines, slower
