"""The conformance kit: the checks that any plugin can be put through, built in or not.

    from harness.conformance import check
    report = check("attention", "my_block")
    assert report.ok, str(report)

Importing this package imports no torch; checks do.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, UnknownName
from ..registry import Registry, suggest
from .findings import Finding, Report

if TYPE_CHECKING:
    from ..discovery import Plugins, Provider
    from .running import Subject

__all__ = ["Finding", "Report", "check", "check_provider", "examined", "subject_of", "subjects_of"]


def check(
    kind: str, name: str, *, third_party: bool = True, registry: Registry | None = None, **options: Any
) -> Report:
    """Put one component through all checks of its kind, built with `options`.

    `registry`: one that was filled by hand, in place of everything installed. Raises UnknownName for a name that is
    not there, ConfigError for options that it does not take.
    """
    from .running import examine

    return examine(subject_of(kind, name, third_party=third_party, registry=registry, **options))


def check_provider(name: str, *, third_party: bool = True) -> tuple[Report, ...]:
    """All components of a plugin: an entry point's name, a distribution's, or a built-in module's.

    A plugin that cannot be loaded is a report of kind "plugin" with that failure. Raises UnknownName.
    """
    return tuple(examined(name, third_party=third_party))


def examined(name: str, *, third_party: bool = True) -> Iterator[Report]:
    """`check_provider`, one report after the other."""
    from .running import examine

    for found in subjects_of(name, third_party=third_party):
        yield found if isinstance(found, Report) else examine(found)


def subject_of(
    kind: str, name: str, *, third_party: bool = True, registry: Registry | None = None, **options: Any
) -> Subject:
    """A component ready to be checked. Raises UnknownName, ConfigError."""
    from .running import Subject

    if registry is None:
        subject = _subject(_plugins(third_party), kind, name, options)
    else:
        subject = Subject(registry.get(kind, name), registry, options)
    try:
        known = [o.name for o in subject.component.options()] if options else []
    except ConfigError:  # it cannot be loaded, which is the first thing that its report says
        return subject
    for key in options:
        if key not in known:
            otherwise = f"it takes {', '.join(known)}" if known else "it takes no options"
            raise UnknownName(f"{kind} '{name}' has no option '{key}'", suggest(key, known, otherwise))
    for key, error in subject.component.mistakes(options) if options else ():
        if key in options and key != "of":  # a block by its name, which is built before it is handed over
            raise error
    return subject


def subjects_of(name: str, *, third_party: bool = True) -> Iterator[Subject | Report]:
    """Every component of a provider ready to be checked; a report where there is none. Raises UnknownName."""
    plugins = _plugins(third_party)
    matching = [p for p in plugins.providers if name in _names(p)]
    if not matching:
        known = sorted({n for p in plugins.providers for n in _names(p)})
        raise UnknownName(f"no plugin is called '{name}'", suggest(name, known))
    for provider in matching:
        if provider.error:
            yield Report("plugin", provider.name, provider.distribution, (_unloaded(provider),))
            continue
        declared = _declared(provider)
        if not declared:
            what = "it declares no components; its hooks are spelt right"
            yield Report("plugin", provider.name, provider.distribution, (Finding("loads", "passed", what),))
        for kind, component in declared:
            yield _subject(plugins, kind, component, {})


def _subject(plugins: Plugins, kind: str, name: str, options: Mapping[str, Any]) -> Subject:
    from .running import Subject

    component = plugins.registry.get(kind, name)
    declaring = [p for p in plugins.providers if p.distribution == component.provider and not p.error]
    entries = tuple(_module(p) for p in declaring if (kind, name) in _declared(p))
    return Subject(component, plugins.registry, options, entries)


def _unloaded(provider: Provider) -> Finding:
    why = "a plugin that cannot be loaded is left out whole, and a study that names a component of it does not start"
    return Finding("loads", "failed", provider.error, why, provider.hint)


def _plugins(third_party: bool) -> Plugins:
    from ..discovery import load

    return load(third_party)


def _names(provider: Provider) -> set[str]:
    return {provider.name, provider.distribution.rpartition(" ")[0], _module(provider)}


def _module(provider: Provider) -> str:
    return provider.module.partition(":")[0]


def _declared(provider: Provider) -> tuple[tuple[str, str], ...]:
    """(kind, name) of what one entry module declares; several may belong to one distribution."""
    module = importlib.import_module(_module(provider))
    register = getattr(module, "harness_register", None)
    if register is None:
        return ()
    staged = Registry(provider.distribution)
    register(registry=staged)
    return tuple((c.kind, c.name) for c in staged.components())
