"""Every hot path of the package, beside its peers.

python -m benchmarks list
python -m benchmarks run [NAMES] --output record.json
python -m benchmarks compare OLD.json [NEW.json]
python -m benchmarks show record.json --picture ratios.png --page docs/benchmarks.md
"""

import sys
from pathlib import Path

import click

from benchmarks.suite import records
from benchmarks.suite.measuring import measure
from benchmarks.suite.registry import BENCHMARKS
from benchmarks.timing import machine
from jaxmargin._files import written_whole

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group(help="Time the hot paths of jaxmargin beside their peers.")
def main() -> None:
    """The commands."""


@main.command("list", help="Show the names of all benchmarks, with their sizes.")
def list_all() -> None:
    """The names."""
    for name, benchmark in BENCHMARKS.items():
        sizes = ", ".join(map(str, benchmark.values))
        click.echo(f"{name:34} {benchmark.axis} = {sizes}; {benchmark.setting}")


@main.command(help="Run benchmarks, all of them if none is named; a name may be the beginning.")
@click.argument("names", nargs=-1)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="JSON to write.")
@click.option("--smallest", is_flag=True, help="Take the smallest size of each alone.")
def run(names: tuple[str, ...], output: Path | None, smallest: bool) -> None:
    """Print the table, and write the record; fails where answers differ."""
    record = measured(names, smallest)
    click.echo(records.table(record))
    if output is not None:
        records.save(output, record)
    apart = [row["name"] for row in record["rows"] if not row["agree"]]
    if apart:
        raise click.ClickException(f"the sides disagree: {', '.join(apart)}")


@main.command(help="Tell how times changed since a record; fails where one is slower.")
@click.argument("old", type=FILE)
@click.argument("new", type=FILE, required=False)
def compare(old: Path, new: Path | None) -> None:
    """Ratios of medians; without NEW, the benchmarks of OLD are run now."""
    before = _loaded(old)
    names = tuple(dict.fromkeys(row["name"] for row in before["rows"]))
    after = _loaded(new) if new else measured(names, smallest=False)
    lines, slower = records.regressions(before, after)
    click.echo("\n".join(lines))
    if slower:
        raise click.ClickException(
            f"{len(slower)} of {len(lines)} are slower: " + "; ".join(slower)
        )


@main.command(help="Print the table of a record, and draw its ratios.")
@click.argument("record", type=FILE)
@click.option("--picture", type=click.Path(dir_okay=False, path_type=Path), help="PNG to write.")
@click.option(
    "--page", type=FILE, multiple=True, help="Page whose blocks to fill; may be repeated."
)
def show(record: Path, picture: Path | None, page: tuple[Path, ...]) -> None:
    """The table, the picture, and the pages that have blocks for it."""
    loaded = _loaded(record)
    click.echo(records.table(loaded))
    if picture is not None:
        records.draw(loaded, picture)
    for path in page:
        made = records.filled(path.read_text(), loaded)
        with written_whole(path) as temporary:
            temporary.write_text(made)


def measured(names: tuple[str, ...], smallest: bool) -> records.Record:
    """The record of the named benchmarks."""
    chosen = [of for name, of in BENCHMARKS.items() if not names or name.startswith(names)]
    if not chosen:
        raise click.BadParameter(f"no benchmark begins with {' or '.join(names)}: see `list`")
    rows = []
    for benchmark in chosen:
        for value in benchmark.values[:1] if smallest else benchmark.values:
            click.echo(f"{benchmark.name} {benchmark.axis} = {value}", err=True)
            rows.append(measure(benchmark, value))
    return {"machine": machine(), "rows": rows}


def _loaded(path: Path) -> records.Record:
    try:
        return records.load(path)
    except ValueError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    sys.exit(main())
