"""Broken on purpose: the second of its names is one that the program has itself."""

from harness import hookimpl


@hookimpl
def harness_register(registry):
    registry.add("attention", "name_clash", "harness_name_clash.block:Nothing", summary="does nothing")
    registry.add(
        "attention", "se", "harness_name_clash.block:Nothing", summary="does nothing, under the name of another"
    )
