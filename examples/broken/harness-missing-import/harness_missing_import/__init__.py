"""Broken on purpose: it imports a library that is not installed, as after a change of another package."""

import a_library_that_is_not_installed

from harness import hookimpl


@hookimpl
def harness_register(registry):
    registry.add("attention", "missing_import", a_library_that_is_not_installed.TARGET)
