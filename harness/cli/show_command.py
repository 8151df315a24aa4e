"""`harness show`: one component with its options and its contract."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .completing import components, kinds
from .manual import Manual
from .options import json_option

if TYPE_CHECKING:
    from ..registry import Component

CONTRACTS = {
    "attention": "build(channels, **options) -> module; [B, C, H, W] -> same shape (temporal: [B, T, C] with mask)",
    "model": "build(io, **options) -> module with forward(batch), groups(), attach(factory, placement), prefix()",
    "dataset": "build(root, **options) -> split(name, fold); describe(root, **options) -> DatasetInfo, without torch",
    "loss": "build(**options) -> (output, target, mask=None) -> scalar; expects: logits | unit",
    "task": "build(**options) -> metrics, io, pair, measure, summarise, floors, figures, identities",
    "augment": "build(**options) -> (images [B, C, H, W] in [0, 1], uniform) -> same shape",
    "optimizer": "build(model, **options) -> torch optimiser",
    "schedule": "build(optimizer, total_steps, steps_per_epoch, **options) -> step_update(number of the update)",
    "tracker": "build() -> an object whose methods are hooks: harness_trial_started, harness_epoch_finished, …",
}
KEYS = {
    "kind": "as it was asked for",
    "name": "what a grid calls it",
    "summary": "one line; may be empty",
    "source": "where it comes from, such as a paper; may be empty",
    "provider": "distribution and version",
    "target": "package.module:Attribute",
    "files": "its options that name files, a list",
    "contract": "how it is called, and what it must give",
    "options[].name": "what a grid calls the option",
    "options[].type": "the annotation, as text",
    "options[].default": "null where it is required",
    "options[].required": "true if a grid must set it",
    "doc": "the docstring; may be empty",
}


@click.command(
    "show",
    cls=Manual,
    short_help="Show one component with its options.",
    examples=("harness show attention se", "harness show dataset cifar10", "harness show model timm --json"),
    keys=KEYS,
)
@click.argument("kind", shell_complete=kinds)
@click.argument("name", shell_complete=components)
@json_option
@click.pass_context
def command(context: click.Context, kind: str, name: str, as_json: bool) -> int:
    """Show component NAME of KIND: summary, source, options with defaults, contract, provider.

    NAME may be module:Class, as `target` in a grid; the module is looked for where Python looks, and in the current
    folder.
    """
    from .. import discovery, foreign
    from .terminal import aside, document

    if foreign.is_target(name):
        foreign.reach_target(name, Path.cwd())
    with aside(as_json):
        component = discovery.load(context.obj["third_party"]).registry.get(kind, name)
        plain = _plain(component) if as_json else None
    if as_json:
        document(plain)
    else:
        _print(component)
    return 0


def _plain(component: Component) -> Any:
    from ..plain import to_plain

    options = [
        {"name": o.name, "type": o.type_name(), "default": _json(to_plain(o.default)), "required": o.required}
        for o in component.options()
    ]
    contract, doc = CONTRACTS[component.kind], _doc(component.load())
    return {**to_plain(component), "contract": contract, "options": options, "doc": doc}


def _doc(target: object) -> str:
    """Its own docstring; `inspect.getdoc` would fall back to that of a class above it, such as torch's Module."""
    return inspect.cleandoc(target.__doc__ or "")


def _json(value: Any) -> Any:
    """The value, or its representation where JSON has no word for it."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return repr(value)
    return value


def _print(component: Component) -> None:
    from ..foreign import is_target
    from .tables import plain_table

    options = component.options()
    plain = is_target(component.name)  # nobody was asked for its summary and source
    click.echo(f"{component.kind} {component.name}: {component.summary or ('no plugin' if plain else 'no summary')}")
    for title, text in (
        *(() if plain else (("source", component.source or "original"),)),
        ("provider", component.provider),
        ("target", component.target),
        ("contract", CONTRACTS[component.kind]),
    ):
        click.echo(f"  {title}: {text}")
    if options:
        click.echo()
        rows = [(o.name, o.type_name(), "required" if o.required else _shown(o.default)) for o in options]
        plain_table(("option", "type", "default"), rows)
    else:
        click.echo("  options: none")
    doc = _doc(component.load())
    if doc:
        click.echo()
        click.echo(doc)


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        value = list(value)
    try:
        return json.dumps(value)
    except TypeError:
        return repr(value)
