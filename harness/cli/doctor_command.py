"""`harness doctor`: what is installed, what is broken, and how to mend it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import EXIT_USER
from .manual import Manual
from .options import json_option

if TYPE_CHECKING:
    from ..discovery import Plugins

KEYS = {
    "versions.<library>": "the installed version",
    "cpu_cores": "cores that this process may use",
    "device.auto": "what --device auto is on this machine",
    "device.name": "the GPU's name; empty for a CPU",
    "device.precision": "fp32 or bf16: what `precision: auto` is",
    "data_folder.path": "HARNESS_DATA, or its default",
    "data_folder.exists": "true or false",
    "data_folder.writable": "true or false; of the nearest folder above, if it does not exist",
    "plugins[].name": "the entry point, or the built-in module",
    "plugins[].distribution": "distribution and version",
    "plugins[].module": "the module that it names",
    "plugins[].error": "why it is broken; empty if it is sound",
    "plugins[].hint": "what to do about it",
    "components[].kind": "of a component of a third party that cannot be loaded",
    "components[].name": "what a grid calls it",
    "components[].provider": "distribution and version",
    "components[].error": "why",
    "components[].hint": "what to do about it; may be null",
}


@click.command(
    "doctor",
    cls=Manual,
    short_help="Show versions, devices and plugins.",
    examples=("harness doctor", "harness --no-plugins doctor", "harness doctor --json"),
    keys=KEYS,
)
@json_option
@click.pass_context
def command(context: click.Context, as_json: bool) -> int:
    """Show versions, devices, plugins and the data folder.

    Every component of a third party is imported. Exits with 2 if a plugin, or one of these, is broken.
    """
    from .. import discovery
    from .terminal import aside, document, tell

    with aside(as_json):
        plugins = discovery.load(context.obj["third_party"])
        found = _found(plugins)
    if as_json:
        document(found)
    else:
        _print(found)
    for provider in plugins.failures:
        tell("error", f"plugin '{provider.name}' of {provider.distribution}: {provider.error}", provider.hint)
    for component in found["components"]:
        tell("error", component["error"], component["hint"])
    return EXIT_USER if plugins.failures or found["components"] else 0


def _found(plugins: Plugins) -> dict[str, Any]:
    import torch

    from .. import environment
    from ..data import data_root
    from ..plain import to_plain

    device = environment.resolve_device("auto")
    root = data_root()
    return {
        "versions": environment.versions(),
        "cpu_cores": environment.cores(),
        "device": {
            "auto": device,
            "name": torch.cuda.get_device_name(device) if device.startswith("cuda") else "",
            "precision": environment.auto_precision(device),
        },
        "data_folder": {
            "path": str(root),
            "exists": root.is_dir(),
            "writable": os.access(root if root.is_dir() else _nearest(root), os.W_OK),
        },
        "plugins": to_plain(plugins.providers),
        "components": list(_unloaded(plugins)),
    }


def _unloaded(plugins: Plugins) -> Iterator[dict[str, str | None]]:
    """What a third party declares and cannot be imported. What ships is left out: tests import all of it."""
    from ..discovery import BUILTIN
    from ..errors import ConfigError

    shipped = {p.distribution for p in plugins.providers if p.module in BUILTIN}
    for component in plugins.registry.components():
        if component.provider in shipped:
            continue
        try:
            component.load()
        except ConfigError as error:
            named = {"kind": component.kind, "name": component.name, "provider": component.provider}
            yield {**named, "error": error.message, "hint": error.hint}


def _print(found: dict[str, Any]) -> None:
    from .tables import plain_table

    device, folder = found["device"], found["data_folder"]
    rows = [
        *found["versions"].items(),
        ("cpu cores", str(found["cpu_cores"])),
        ("device (auto)", f"{device['auto']} {device['name']}".strip()),
        ("precision (auto)", device["precision"]),
        ("data folder", f"{folder['path']}{'' if folder['exists'] else ' (not there yet)'}"),
        ("data folder writable", "yes" if folder["writable"] else "no"),
    ]
    plain_table(("what", "found"), rows)
    click.echo()
    plain_table(
        ("plugin", "distribution", "state"),
        [(p["name"], p["distribution"], _state(p, found["components"])) for p in found["plugins"]],
    )


def _state(plugin: dict[str, str], unloaded: Sequence[dict[str, str]]) -> str:
    if plugin["error"]:
        return f"broken: {plugin['error']}"
    names = [f"{c['kind']} {c['name']}" for c in unloaded if c["provider"] == plugin["distribution"]]
    return f"cannot be loaded: {', '.join(names)}" if names else "ok"


def _nearest(path: Path) -> Path:
    return next(p for p in (path, *path.parents) if p.exists())
