"""`harness export`: a trained model as one file for other programs."""

from __future__ import annotations

from pathlib import Path

import click

from .completing import trials
from .manual import Manual
from .options import changed_option, runs_option


@click.command(
    "export",
    short_help="Write a trained model as torch-export, ONNX or safetensors.",
    cls=Manual,
    examples=(
        "harness export 3f2a --format onnx --out model.onnx",
        "harness export 3f2a --format safetensors",
    ),
)
@click.argument("trial", shell_complete=trials)
@click.option(
    "--format",
    "wanted",
    type=click.Choice(["torch-export", "onnx", "safetensors"]),
    required=True,
    help="torch-export: .pt2, for torch.export.load. onnx: needs the extra `onnx`. safetensors: the weights alone.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="The file, or a folder that exists. Default: the trial's id in this folder. What stands there is replaced.",
)
@changed_option
@runs_option
@click.pass_context
def command(context: click.Context, trial: str, wanted: str, out: Path | None, changed: bool, runs: Path) -> int:
    """Write the model of TRIAL to one file, read it back, and say how far its outputs differ from the original's.

    TRIAL is an id of the store, which may be shortened. The comparison is in fp32 on random inputs, for batches of 1
    and 3; the batch axis is free, and so is the length of videos where it varies. A difference larger than rounding is
    an error, and then nothing is written. Beside the file stands FILE.json: the trial, its configuration, classes,
    inputs and outputs, how inputs are prepared, versions, and the difference.
    """
    from .. import api, discovery
    from ..report.escaping import one_line

    registry = discovery.load(context.obj["third_party"]).registry
    done = api.export(trial, wanted, out, runs=runs, registry=registry, changed=changed)
    click.echo(f"{one_line(done.path)} ({done.size / 1e6:.1f} MB), and {one_line(done.sidecar)}")
    for what, difference in done.differences.items():
        click.echo(f"  {what}: largest absolute difference to the original {difference:.2g}")
    return 0
