"""The command line: `jaxmargin list` and `jaxmargin reproduce <experiment>`."""

import dataclasses
import os
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
from jaxmargin.experiments.harness.artifacts import (
    Parts,
    finished,
    prepare_folder,
    require_free,
    save,
)
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
    """One subcommand for each experiment, and one for all."""

    def resolve_command(self, ctx: click.Context, args: list[str]):
        if args and args[0] not in self.commands:
            raise click.UsageError(
                f"unknown experiment {args[0]!r}: choose from {', '.join(self.commands)}"
            )
        return super().resolve_command(ctx, args)


def _help_alone(context: click.Context) -> None:
    """Print the help of a group that was called without a command."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, invoke_without_command=True)
@click.version_option(__version__, prog_name="jaxmargin")
@click.pass_context
def command_line(context: click.Context) -> None:
    """Reproduce the figures and theorems of "Regularization Matters" (Wei et al. 2019)."""
    _help_alone(context)


@command_line.command("list")
def list_experiments() -> None:
    """List what can be reproduced, and how long it takes."""
    table = Table("experiment", "what it shows", "presets, and their time on two cores", box=None)
    for experiment in EXPERIMENTS.values():
        presets = (f"{name}: {experiment.durations[name]}" for name in experiment.presets)
        table.add_row(experiment.name, experiment.title, "\n".join(presets))
    Console().print(table)


@command_line.group(cls=_Reproduce, invoke_without_command=True)
@click.pass_context
def reproduce(context: click.Context) -> None:
    """Run one experiment, or all. It makes pictures, a JSON file, and a table of claims."""
    _help_alone(context)


def _common_options(presets: Sequence[str]) -> list[click.Parameter]:
    return [
        click.Option(
            ["--preset"],
            type=click.Choice(presets),
            default=presets[0],
            show_default=True,
            help="Settings to start from.",
        ),
        click.Option(
            ["--out"],
            type=click.Path(path_type=Path),
            default=Path("results"),
            show_default=True,
            help="Folder for the pictures and the JSON file.",
        ),
        click.Option(
            ["--force"], is_flag=True, help="Overwrite the files of a run with other settings."
        ),
    ]


def subcommand(experiment: Experiment) -> click.Command:
    """`reproduce <experiment>`, with an option for each of its settings."""
    options = _common_options(list(experiment.presets))
    for field in dataclasses.fields(next(iter(experiment.presets.values()))):
        values = (
            f"{name}: {str(getattr(s, field.name)) or 'none'}"
            for name, s in experiment.presets.items()
        )
        meaning = field.metadata["meaning"]
        options.append(
            click.Option(
                [f"--{field.name.replace('_', '-')}", field.name],
                type=_option_type(field.default),
                envvar=field.metadata["environment"],
                show_envvar=True,
                help=f"{meaning[0].upper()}{meaning[1:]} ({', '.join(values)}).",
            )
        )

    def callback(preset: str, out: Path, force: bool, **overrides: Any) -> None:
        given = {name: value for name, value in overrides.items() if value is not None}
        settings = dataclasses.replace(experiment.presets[preset], **given)
        run_experiment(experiment, settings, out, force=force)

    return click.Command(
        experiment.name, params=options, callback=callback, help=f"Show {experiment.title}."
    )


def _option_type(default: Any) -> click.ParamType | type:
    return _Numbers(type(default[0])) if isinstance(default, tuple) else type(default)


for _experiment in EXPERIMENTS.values():
    reproduce.add_command(subcommand(_experiment))


def _run_all(preset: str, out: Path, force: bool) -> None:
    """Run every experiment whose files are not there yet, and print one table of all claims."""
    prepare_folder(out)
    chosen = {name: _from_environment(one.presets[preset]) for name, one in EXPERIMENTS.items()}
    done = {name: finished(out, name, settings) for name, settings in chosen.items()}
    if not force:
        for name, settings in chosen.items():
            require_free(out, name, settings)
    for name, settings in chosen.items():
        if force or done[name] is None:
            done[name] = run_experiment(EXPERIMENTS[name], settings, out, force=force)
    table = Table("experiment", "claim", "verdict", title=f"all experiments, preset {preset}")
    for name, claims in done.items():
        table.add_section()
        for claim in claims or []:
            table.add_row(name, claim.statement, _verdict(claim))
    Console().print(table)


def _from_environment(settings: Any) -> Any:
    """The settings with those of the environment's variables that are there."""
    given = {
        field.name: os.environ[variable]
        for field in dataclasses.fields(settings)
        if (variable := field.metadata["environment"]) and os.environ.get(variable)
    }
    return dataclasses.replace(settings, **given)


reproduce.add_command(
    click.Command(
        "all",
        params=_common_options(["quick", "paper"]),  # which every experiment has
        callback=_run_all,
        help="Run all experiments that have no files yet, and print one table of their claims.",
    )
)


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


def run_experiment(
    experiment: Experiment, settings: Any, out: Path, *, force: bool = False
) -> list[Claim]:
    """Run an experiment, save its picture and numbers, and print the table of its claims.

    Args:
        experiment: which one.
        settings: its settings; they are checked first.
        out: folder for the files; it is made if it is missing.
        force: whether files of a run with other settings are overwritten.

    Returns:
        The claims with their measured numbers.

    Raises:
        ValueError: a setting is out of range, a run diverged, or `out` has the files of a run with
            other settings.
        TypeError: a setting is of the wrong type.
        OSError: the folder cannot be written.
    """
    check_settings(settings)
    prepare_folder(out)
    if not force:
        require_free(out, experiment.name, settings)
    parts = Parts(out, experiment.name, settings)
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
        f"{time.perf_counter() - started:.0f} s; wrote {', '.join(map(str, paths))}",
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
    """The paper's own claims, and then those that are asked here, with a comment on what fails."""
    table = Table("claim", "measured (± standard error)", "verdict", title=experiment.name)
    for heading, ours in (("claims of the paper", False), ("asked here, beyond the paper", True)):
        chosen = [claim for claim in claims if claim.ours is ours]
        if chosen:
            table.add_section()
            table.add_row(f"[bold]{heading}[/]", "", "")
        for claim in chosen:
            comment = "" if claim.holds or not claim.comment else f"\n[italic]{claim.comment}[/]"
            table.add_row(claim.statement, claim.measured + comment, _verdict(claim))
    return table


def _verdict(claim: Claim) -> str:
    return "[green]holds[/]" if claim.holds else "[red]does not hold[/]"


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
