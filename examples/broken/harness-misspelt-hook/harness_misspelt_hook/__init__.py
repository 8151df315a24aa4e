"""Broken on purpose: the second hook is misspelt, so it would never be called."""

from harness import hookimpl


@hookimpl
def harness_register(registry):
    registry.add("attention", "misspelt_hook", "harness_misspelt_hook.block:Nothing", summary="does nothing")


@hookimpl
def harness_trial_finnished(record):
    """One n too many."""
