"""`harness show`: one component with its options and its contract."""

from __future__ import annotations

import inspect
import json

import click

CONTRACTS = {
    "attention": "build(channels, **options) -> module; [B, C, H, W] -> same shape (temporal: [B, T, C] with mask)",
    "model": "build(io, **options) -> module with forward(batch), groups(), attach(factory, placement), prefix()",
    "dataset": "build(root, **options) -> split(name, fold); describe(root, **options) -> DatasetInfo, without torch",
    "loss": "build(**options) -> (output, target, mask=None) -> scalar; expects: logits | unit",
    "task": "build(**options) -> metrics, io, pair, measure, summarise, floors, figures, identities",
    "augment": "build(**options) -> (images [B, C, H, W] in [0, 1], uniform) -> same shape",
    "optimizer": "build(model, **options) -> torch optimiser",
    "schedule": "build(optimizer, total_steps, steps_per_epoch, **options) -> step_update(number of the update)",
}


@click.command("show", short_help="Show one component with its options.", epilog="Example: harness show attention se")
@click.argument("kind")
@click.argument("name")
@click.pass_context
def command(context: click.Context, kind: str, name: str) -> int:
    """Show component NAME of KIND: summary, source, options with defaults, contract, provider."""
    from .. import discovery
    from .tables import plain_table

    component = discovery.load(context.obj["third_party"]).registry.get(kind, name)
    options = component.options()
    click.echo(f"{component.kind} {component.name}: {component.summary or 'no summary'}")
    for title, text in (
        ("source", component.source or "original"),
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
    doc = inspect.getdoc(component.load())
    if doc:
        click.echo()
        click.echo(doc)
    return 0


def _shown(value: object) -> str:
    if isinstance(value, tuple):
        value = list(value)
    try:
        return json.dumps(value)
    except TypeError:
        return repr(value)
