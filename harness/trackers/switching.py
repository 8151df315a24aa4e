"""Which trackers a study has: those that HARNESS_TRACKERS names (TensorBoard, if it is not set) and those asked for."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ..discovery import Plugins, hooks_of
from ..errors import ConfigError, HarnessError, UnknownName
from ..registry import Registry

KIND = "tracker"
STANDING = ("tensorboard",)


def switch_on(plugins: Plugins, asked: Sequence[str] = ()) -> None:
    """Build the trackers and let them hear of every trial from now on; those of an earlier call are let go.

    Raises ConfigError for an unknown name, or a tracker that cannot start; then nothing has changed.
    """
    built = {name: _build(plugins.registry, name, origin) for name, origin in _wanted(asked).items()}
    for key, plugin in plugins.manager.list_name_plugin():
        if key.startswith(f"{KIND} ") and plugin is not None:
            plugins.manager.unregister(name=key)
    for name, tracker in built.items():
        plugins.manager.register(tracker, f"{KIND} {name}")


def _wanted(asked: Sequence[str]) -> dict[str, str]:
    """Names, each with where it was written."""
    text = os.environ.get("HARNESS_TRACKERS")
    standing = STANDING if text is None else tuple(n.strip() for n in text.split(",") if n.strip())
    return {**dict.fromkeys(standing, "HARNESS_TRACKERS: "), **dict.fromkeys(asked, "")}


def _build(registry: Registry, name: str, origin: str) -> object:
    try:
        component = registry.get(KIND, name)
    except UnknownName as error:
        raise UnknownName(f"{origin}{error.message}", error.hint) from error
    try:
        tracker: object = component.load()()
    except HarnessError:
        raise
    except (Exception, SystemExit) as error:  # foreign code may raise anything
        raise ConfigError(
            f"tracker '{name}' of {component.provider} cannot start: {type(error).__name__}: {error}",
            hint="mend what it says, or leave the tracker out",
        ) from error
    if not hooks_of(tracker, f"tracker '{name}' of {component.provider}"):
        raise ConfigError(
            f"tracker '{name}' of {component.provider} implements no hook",
            hint="its methods harness_trial_started, … are marked with harness.hookimpl",
        )
    return tracker
