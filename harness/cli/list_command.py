"""`harness list`: what can be named in a grid."""

from __future__ import annotations

import click


@click.command("list", short_help="List what a grid can name.", epilog="Example: harness list attention")
@click.argument("kind", required=False)
@click.pass_context
def command(context: click.Context, kind: str | None) -> int:
    """List registered components, all or of one KIND; nothing of them is imported."""
    from .. import discovery
    from .ablate_command import warn_of_failures
    from .tables import plain_table

    plugins = discovery.load(context.obj["third_party"])
    warn_of_failures(plugins)
    if kind is not None:
        plugins.registry.names(kind)  # raises for an unknown kind
    components = plugins.registry.components(kind)
    plain_table(("kind", "name", "summary", "provider"), [(c.kind, c.name, c.summary, c.provider) for c in components])
    return 0
