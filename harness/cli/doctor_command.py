"""`harness doctor`: what is installed, what is broken, and how to mend it."""

from __future__ import annotations

import os
from pathlib import Path

import click

from . import EXIT_USER


@click.command("doctor", short_help="Show versions, devices and plugins.")
@click.pass_context
def command(context: click.Context) -> int:
    """Show versions, devices, plugins and the data folder. Exits with 2 if a plugin is broken."""
    import torch

    from .. import discovery, environment
    from ..data import data_root
    from .tables import plain_table

    plugins = discovery.load(context.obj["third_party"])
    rows = list(environment.versions().items())
    rows.append(("cpu cores", str(environment.cores())))
    device = environment.resolve_device("auto")
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else ""
    rows.append(("device (auto)", f"{device} {name}".strip()))
    rows.append(("precision (auto)", environment.auto_precision(device)))
    root = data_root()
    rows.append(("data folder", f"{root}{'' if root.is_dir() else ' (not there yet)'}"))
    writable = os.access(root if root.is_dir() else _nearest(root), os.W_OK)
    rows.append(("data folder writable", "yes" if writable else "no"))
    plain_table(("what", "found"), rows)
    click.echo()
    plain_table(
        ("plugin", "distribution", "state"),
        [(p.name, p.distribution, f"broken: {p.error}" if p.error else "ok") for p in plugins.providers],
    )
    for provider in plugins.failures:
        click.echo(f"error: plugin '{provider.name}' of {provider.distribution}: {provider.error}", err=True)
        click.echo(f" hint: {provider.hint}", err=True)
    return EXIT_USER if plugins.failures else 0


def _nearest(path: Path) -> Path:
    return next(p for p in (path, *path.parents) if p.exists())
