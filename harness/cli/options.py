"""Options that several commands have: the store, the reports, the device, and `--json`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from .completing import devices

F = TypeVar("F", bound=Callable[..., Any])
FOLDER = click.Path(path_type=Path, file_okay=False)


def runs_option(function: F) -> F:
    return click.option("--runs", type=FOLDER, default=Path("runs"), help="The store.")(function)


def reports_option(function: F) -> F:
    return click.option("--reports", type=FOLDER, default=Path("reports"), help="Where reports go.")(function)


def device_option(function: F) -> F:
    text = "auto, cpu, cuda, cuda:1 or mps."
    return click.option("--device", default="auto", shell_complete=devices, help=text)(function)


def changed_option(function: F) -> F:
    text = "Open the trial although a class of it that is no plugin (`target`) has changed since."
    return click.option("--changed", is_flag=True, help=text)(function)


def json_option(function: F) -> F:
    text = "Print one JSON document and nothing else. A number that is not finite is the text nan, inf or -inf."
    return click.option("--json", "as_json", is_flag=True, help=text)(function)
