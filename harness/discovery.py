"""Find plugins, let each declare its components on a stage of its own, and merge what is sound.

pluggy's own entry-point loader has no `try` a plugin, and its check for misspelt hooks is global; here a broken
plugin is a warning that names the distribution and the cause, and the program goes on.
"""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import metadata
from types import ModuleType

import pluggy

from . import hookspecs
from .errors import ClashError, ConfigError
from .importing import to_install, told
from .registry import Registry

GROUP = "harness"
BUILTIN = (
    "harness.tasks",
    "harness.augment",
    "harness.recipe",
    "harness.trackers",
    "harness_attention",
    "harness_models",
    "harness_datasets",
    "harness_losses",
)


@dataclass(frozen=True, slots=True)
class Provider:
    """A plugin that was found. `error` is empty if it was loaded."""

    name: str  # the entry point's name, or the built-in module
    distribution: str  # "harness-triplet 0.1"
    module: str
    error: str = ""
    hint: str = ""


@dataclass(slots=True)
class Plugins:
    """What discovery found: the merged registry, the hooks of all sound plugins, and every provider."""

    registry: Registry
    manager: pluggy.PluginManager
    third_party: bool = True
    providers: list[Provider] = field(default_factory=list)

    @property
    def failures(self) -> tuple[Provider, ...]:
        return tuple(p for p in self.providers if p.error)


def version_of(distribution: str) -> str:
    """The installed version; "source" where the program runs from its tree without being installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "source"


def came_from(provider: str) -> str:
    """Where a component is that a trial was trained with and that is not there; empty if nothing is known of it."""
    name, _, version = provider.rpartition(" ")
    if not name or name == "ablation-harness":
        return ""
    now = version_of(name)
    if now == "source":
        return f"it came from {name} {version}, which is not installed"
    return f"it came from {name} {version}; {name} {now} is installed, and was left out or no longer has it"


def load(third_party: bool = True) -> Plugins:
    """Load the built-ins, then the entry points of group `harness`.

    `third_party=False` (`--no-plugins`) leaves the entry points alone; HARNESS_PLUGINS=a,b limits them to those names.
    A fault of a built-in is a bug and raises; one of a third party becomes a Provider with an error.
    """
    plugins = Plugins(Registry(), _manager(), third_party)
    own = f"ablation-harness {version_of('ablation-harness')}"
    for name in BUILTIN:
        _accept(plugins, name, importlib.import_module(name), own)
        plugins.providers.append(Provider(name, own, name))
    for point, distribution in _entry_points() if third_party else ():
        provider = Provider(point.name, distribution, point.value)
        try:
            _accept(plugins, point.name, point.load(), distribution)
        except (Exception, SystemExit) as error:  # foreign code may raise anything; the program goes on
            message = error.message if isinstance(error, ConfigError) else told(error, point.module)
            hint = getattr(error, "hint", None) or to_install(error) or f"mend or uninstall {distribution}"
            provider = Provider(point.name, distribution, point.value, message, hint)
        plugins.providers.append(provider)
    plugins.registry.failures = len(plugins.failures)
    return plugins


def _entry_points() -> Iterator[tuple[metadata.EntryPoint, str]]:
    allowed = os.environ.get("HARNESS_PLUGINS")
    names = None if allowed is None else {n.strip() for n in allowed.split(",")}
    for missing in sorted((names or set()) - {p.name for p in metadata.entry_points(group=GROUP)} - {""}):
        warnings.warn(f"HARNESS_PLUGINS names '{missing}', and no such plugin is installed", stacklevel=3)
    points = sorted(metadata.entry_points(group=GROUP), key=lambda p: (p.dist.name if p.dist else "", p.name))
    for point in points:
        if names is None or point.name in names:
            yield point, f"{point.dist.name} {point.dist.version}" if point.dist else "an unnamed distribution"


def _manager() -> pluggy.PluginManager:
    manager = pluggy.PluginManager("harness")
    manager.add_hookspecs(hookspecs)
    return manager


def _accept(plugins: Plugins, name: str, module: ModuleType, distribution: str) -> None:
    """Check one plugin alone, stage its components, and only then let it into the common registry and manager."""
    alone = _alone(module, name)
    staged = Registry(distribution)
    alone.hook.harness_register(registry=staged)
    key = f"{distribution}:{name}"  # two distributions may use the same entry-point name
    plugins.manager.register(module, key)
    try:
        plugins.registry.merge(staged)
    except ClashError:
        plugins.manager.unregister(name=key)
        raise


def _alone(plugin: object, name: str) -> pluggy.PluginManager:
    """A manager of this plugin only. Raises ConfigError for a name that is no hook, or a parameter that it lacks."""
    alone = _manager()
    try:
        alone.register(plugin, name)  # refuses wrong parameter names
        alone.check_pending()  # refuses names that are no hook
    except pluggy.PluginValidationError as error:
        known = ", ".join(n for n in vars(hookspecs) if n.startswith("harness_"))
        raise ConfigError(str(error).replace("\n", " "), hint=f"the hooks are {known}") from error
    return alone


def hooks_of(plugin: object, name: str) -> tuple[str, ...]:
    """The hooks that a plugin implements. Raises ConfigError for a misspelt one, or a parameter that a hook lacks."""
    return tuple(caller.name for caller in _alone(plugin, name).get_hookcallers(plugin) or ())
