"""`harness predict`: keyframes of a person's own videos, or classes of images, by a trained trial."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import EXIT_FAILED, EXIT_USER, show
from .completing import trials
from .manual import Manual
from .options import changed_option, device_option, runs_option

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from ..predict import Failure, Listener, Predicted, Predictions, Step

QUIET = 20.0
"""Seconds between lines about one video, where there is no terminal to draw a bar in."""
_ROWS = 20


@click.command(
    "predict",
    short_help="Find the keyframes of videos, or the classes of images, with a trained trial.",
    cls=Manual,
    examples=(
        "harness predict 3f2a holiday.mp4 --out visualizations --distinct",
        "harness predict 3f2a photos --out classes --top 3 --explain",
    ),
)
@click.argument("trial", shell_complete=trials)
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="Gets one folder a video, or all that is said of images.",
)
@runs_option
@click.option(
    "--top",
    type=click.IntRange(min=1),
    metavar="N",
    help="Videos: how many keyframes, in place of --share. Images: how many classes are listed for each (5).",
)
@click.option(
    "--share",
    type=click.FloatRange(0, 1, min_open=True),
    metavar="PART",
    default=0.15,
    help="Videos: the part of the sampled frames that become keyframes, rounded up.",
)
@click.option(
    "--distinct",
    is_flag=True,
    help="Videos: leave near-duplicates out: from the highest score down, frames within 2 seconds of one already "
    "taken, or whose colours and layout are too like it (cosine above 0.95). Fewer keyframes than asked for "
    "may be left.",
)
@click.option(
    "--explain",
    is_flag=True,
    help="Images: a picture each of where the model looked: Grad-CAM of the predicted class, and the gains of the last "
    "three attention blocks by place and by channel.",
)
@changed_option
@device_option
@click.pass_context
def command(
    context: click.Context,
    trial: str,
    inputs: tuple[Path, ...],
    out: Path,
    runs: Path,
    top: int | None,
    share: float,
    distinct: bool,
    explain: bool,
    changed: bool,
    device: str,
) -> int:
    """Show the best frames of every INPUT (a video, or a folder of videos), or the class of every image among them.

    TRIAL is an id of the store, which may be shortened. What its model reads decides: a model that scores frames of
    videos (task keyframes, trained on frames) gets videos, one that classifies images (task classification) gets
    images, also those of folders in folders.

    Each video gets a folder: importance_curve.jpg, keyframes_grid.jpg, a JPEG of full size for every keyframe,
    scores.csv, and index.html, which shows all of it. Videos of one name get numbered folders. A video whose end is
    missing is scored as far as it goes, with a warning.

    Images get one folder: predictions.csv, predictions.json with all probabilities, predictions.jpg, index.html, and
    with --explain an explain_NAME.jpg each. An image is resized so that it covers the size that the model reads, and
    its middle is cut out.

    What cannot be decoded is named, and the others are done. Files of an earlier run are replaced, and nothing else is
    touched. Memory is bounded, whatever the length or number.
    """
    from .. import api, discovery
    from ..predict import Wish

    shared = context.get_parameter_source("share") is click.core.ParameterSource.COMMANDLINE
    if top is not None and shared:
        raise click.UsageError("--top and --share both say how many keyframes there are\n hint: leave one of them out")
    registry = discovery.load(context.obj["third_party"]).registry
    with _view() as listener:
        done = api.predict(
            trial,
            inputs,
            out,
            runs=runs,
            wish=Wish(top, share if shared else None, distinct),
            device=device,
            listener=listener,
            registry=registry,
            explain=explain,
            changed=changed,
        )
    if done.images:
        _table(done)
    if not done.failures:
        return 0
    good = len(done.videos) + len(done.images)
    if not good:
        return EXIT_USER
    click.echo(f"{len(done.failures)} of {len(done.failures) + good} inputs failed", err=True)
    return EXIT_FAILED


def _table(done: Predictions) -> None:
    """What is to be known of the trial; the first images with their classes, and where all of them are."""
    from ..report.escaping import one_line
    from .tables import plain_table
    from .terminal import tell

    for warning in done.warnings:
        tell("warning", one_line(warning))
    rows = [
        (_name(one.path), one_line(one.label), f"{100 * one.probability:.1f} %", ", ".join(one.notes))
        for one in done.images[:_ROWS]
    ]
    plain_table(("image", "class", "probability", "notes"), rows)
    if len(done.images) > _ROWS:
        click.echo(f"and {len(done.images) - _ROWS:,} more, in predictions.csv")
    if done.page is not None:
        click.echo(_name(done.page))


@contextmanager
def _view() -> Iterator[Listener]:
    """A listener that prints; its display ends with the block."""
    from .terminal import animated, console

    if not animated():
        yield Lines()
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console(), transient=True) as progress:
        yield Bars(progress)


class Lines:
    """A line for every video that is done, and one now and then for a long one."""

    def __init__(self) -> None:
        self._begun = self._told = time.monotonic()

    def started(self, path: Path, number: int, total: int) -> None:
        self._begun = self._told = time.monotonic()
        self._say(f"[{number}/{total}] {_name(path)}")

    def progress(self, path: Path, step: Step, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._told >= QUIET and done < total:
            self._told = now
            self._say(f"{_name(path)}: {done:,} of {total:,} {_STEPS[step]}")

    def finished(self, video: Predicted) -> None:
        from ..report.escaping import one_line
        from .tables import duration, plural
        from .terminal import tell

        for warning in video.warnings:
            tell("warning", f"{_name(video.path)}: {one_line(warning)}")
        took = duration(time.monotonic() - self._begun)
        keyframes = plural(len(video.keyframes), "keyframe")
        self._say(f"{_name(video.path)}: {keyframes} of {plural(video.frames, 'sampled frame')} ({took})")
        self._say(f"  {_name(video.page)}")

    def failed(self, failure: Failure) -> None:
        show(failure.error)

    def _say(self, text: str) -> None:
        with suppress(BrokenPipeError):  # `harness predict | head`: nobody reads on, and the videos are done
            print(text, flush=True)


class Bars(Lines):
    """The same lines, above a bar for the video under way."""

    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self._progress = progress
        self._task: TaskID | None = None
        self._step: Step | None = None
        self._label = ""

    def started(self, path: Path, number: int, total: int) -> None:
        self._begun = time.monotonic()
        self._label = f"[{number}/{total}] {_name(path)}"
        self._step = None

    def progress(self, path: Path, step: Step, done: int, total: int) -> None:
        if step != self._step or self._task is None:
            self._clear()
            label = f"{self._label}: " if self._label else ""
            self._task = self._progress.add_task(f"{label}{_STEPS[step]}", total=total)
            self._step = step
        self._progress.update(self._task, completed=done)

    def finished(self, video: Predicted) -> None:
        self._clear()
        super().finished(video)

    def failed(self, failure: Failure) -> None:
        self._clear()
        super().failed(failure)

    def _clear(self) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None

    def _say(self, text: str) -> None:
        self._progress.print(text, markup=False, highlight=False, soft_wrap=True)


_STEPS = {"frames": "frames scored", "pictures": "pictures written", "images": "images classified"}


def _name(path: Path) -> str:
    from ..report.escaping import one_line

    return one_line(path)
