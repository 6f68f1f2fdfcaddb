"""The command line: `jaxmargin list` and `jaxmargin reproduce <experiment>`."""

import dataclasses
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TimeRemainingColumn,
)
from rich.table import Table

from jaxmargin import __version__
from jaxmargin.experiments import EXPERIMENTS
from jaxmargin.experiments.harness.artifacts import Parts, prepare_folder, save
from jaxmargin.experiments.harness.experiment import (
    Claim,
    Context,
    Experiment,
    Series,
    Tick,
    check_settings,
)
from jaxmargin.experiments.harness.plots import house_style


class _Numbers(click.ParamType):
    """Several numbers of one type, such as 50,100,200."""

    def __init__(self, number: type):
        self.name = f"{number.__name__},..."
        self._number = number

    def convert(self, value, param, ctx) -> tuple:
        """The numbers between the commas."""
        try:
            return tuple(self._number(word) for word in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is not a list of {self._number.__name__} such as 1,2", param, ctx)


class _Reproduce(click.Group):
    """One subcommand for each experiment."""

    def resolve_command(self, ctx: click.Context, args: list[str]):
        if args and args[0] not in EXPERIMENTS:
            raise click.UsageError(
                f"unknown experiment {args[0]!r}: choose from {', '.join(EXPERIMENTS)}"
            )
        return super().resolve_command(ctx, args)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="jaxmargin")
def command_line() -> None:
    """Reproduce the figures and theorems of "Regularization Matters" (Wei et al. 2019)."""


@command_line.command("list")
def list_experiments() -> None:
    """List what can be reproduced."""
    table = Table("experiment", "what it shows", "presets", box=None)
    for experiment in EXPERIMENTS.values():
        table.add_row(experiment.name, experiment.title, ", ".join(experiment.presets))
    Console().print(table)


@command_line.group(cls=_Reproduce)
def reproduce() -> None:
    """Run one experiment. It makes a picture, a JSON file, and a table of the paper's claims."""


def subcommand(experiment: Experiment) -> click.Command:
    """`reproduce <experiment>`, with an option for each of its settings."""
    default = next(iter(experiment.presets))
    options: list[click.Parameter] = [
        click.Option(
            ["--preset"],
            type=click.Choice(list(experiment.presets)),
            default=default,
            show_default=True,
            help="Settings to start from.",
        ),
        click.Option(
            ["--out"],
            type=click.Path(path_type=Path),
            default=Path("results"),
            show_default=True,
            help="Folder for the picture and the JSON file.",
        ),
    ]
    for field in dataclasses.fields(experiment.presets[default]):
        values = (
            f"{name}: {str(getattr(s, field.name)) or 'none'}"
            for name, s in experiment.presets.items()
        )
        options.append(
            click.Option(
                [f"--{field.name.replace('_', '-')}", field.name],
                type=_option_type(field.default),
                envvar=field.metadata["environment"],
                show_envvar=True,
                help=f"{field.metadata['meaning'].capitalize()} ({', '.join(values)}).",
            )
        )

    def callback(preset: str, out: Path, **overrides: Any) -> None:
        given = {name: value for name, value in overrides.items() if value is not None}
        run_experiment(experiment, dataclasses.replace(experiment.presets[preset], **given), out)

    return click.Command(
        experiment.name, params=options, callback=callback, help=f"Show {experiment.title}."
    )


def _option_type(default: Any) -> click.ParamType | type:
    return _Numbers(type(default[0])) if isinstance(default, tuple) else type(default)


for _experiment in EXPERIMENTS.values():
    reproduce.add_command(subcommand(_experiment))


class _TerminalContext(Context):
    """Shows a progress bar for each part, and keeps finished parts for a later run."""

    def __init__(self, progress: Progress, parts: Parts):
        self._progress = progress
        self._parts = parts
        self._task = TaskID(0)  # of the part that runs

    def part(self, name: str, ticks: int, compute: Callable[[Tick], Series]) -> Series:
        self._task = self._progress.add_task(name, total=ticks, reached="")
        series = self._parts.get(name, lambda: compute(self._tick))
        self._progress.update(self._task, completed=ticks)
        return series

    def _tick(self, _: int | None = None, record: Any = None) -> None:
        """Move the bar by one, and show the objective where a driver tells it."""
        value = getattr(record, "objective", getattr(record, "energy", None))
        reached = "" if value is None else f"objective {float(value):.3g}"
        self._progress.update(self._task, advance=1, reached=reached)


def run_experiment(experiment: Experiment, settings: Any, out: Path) -> list[Claim]:
    """Run an experiment, save its picture and numbers, and print the table of its claims.

    Args:
        experiment: which one.
        settings: its settings; they are checked first.
        out: folder for the two files; it is made if it is missing.

    Returns:
        The claims with their measured numbers.

    Raises:
        ValueError: a setting is out of range, or a run diverged.
        TypeError: a setting is of the wrong type.
        OSError: the folder cannot be written.
    """
    check_settings(settings)
    parts = Parts(prepare_folder(out), experiment.name, settings)
    console = Console()
    started = time.perf_counter()
    with Progress(*_columns(), console=console) as progress:
        series = experiment.run(settings, _TerminalContext(progress, parts))
    claims = experiment.claims(settings, series)
    with house_style():
        figure = experiment.plot(settings, series)
        paths = save(out, experiment.name, settings, series, claims, figure)
    parts.clear()
    console.print(_claims_table(experiment, claims))
    console.print(
        f"{time.perf_counter() - started:.0f} s; wrote {' and '.join(map(str, paths))}",
        soft_wrap=True,
    )
    return claims


def _columns() -> tuple[ProgressColumn | str, ...]:
    """What a line of the progress shows: the part, its records, the time left, the objective."""
    return (
        "{task.description}",
        BarColumn(bar_width=15),
        MofNCompleteColumn(),
        "records,",
        TimeRemainingColumn(),
        "left",
        "{task.fields[reached]}",
    )


def _claims_table(experiment: Experiment, claims: list[Claim]) -> Table:
    table = Table("the paper's claim", "measured (± standard error)", "", title=experiment.name)
    for claim in claims:
        verdict = "[green]holds[/]" if claim.holds else "[red]does not hold[/]"
        table.add_row(claim.statement, claim.measured, verdict)
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. A wrong input gives one line on standard error.

    Args:
        arguments: the words after `jaxmargin`; None takes those of the process.

    Returns:
        Exit code: 0, 1 for a failed run, 2 for wrong usage, 130 when interrupted.
    """
    try:
        command_line.main(arguments, prog_name="jaxmargin", standalone_mode=False)
    except click.ClickException as error:
        return _fail(error.format_message(), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        again = "the same command goes on with the parts that are done"
        return _fail(f"stopping, as it was interrupted; {again}", 130)
    except (ValueError, TypeError, OSError) as error:
        return _fail(str(error), 1)
    return 0


def _fail(message: str, code: int) -> int:
    print(f"jaxmargin: {' '.join(message.split())}", file=sys.stderr)
    return code
