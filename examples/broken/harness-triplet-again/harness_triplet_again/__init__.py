"""Broken on purpose: it registers a name that harness-triplet, another plugin, has registered."""

from harness import hookimpl


@hookimpl
def harness_register(registry):
    registry.add("attention", "triplet", "harness_triplet_again.block:Nothing", summary="does nothing")
