"""Components by kind and name, found lazily: a target is imported when it is first looked into, never to list it."""

from __future__ import annotations

import difflib
import inspect
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from . import foreign, importing
from .errors import ClashError, ConfigError, UnknownName

KINDS: Mapping[str, int] = {
    "attention": 1,  # channels
    "model": 1,  # io
    "dataset": 1,  # root
    "loss": 0,
    "task": 0,
    "augment": 0,
    "optimizer": 1,  # params
    "schedule": 3,  # optimizer, total_steps, steps_per_epoch
    "tracker": 0,
}
"""Every kind, and how many leading positional arguments the program itself supplies to a target of that kind."""

_SUPPLIED = {"attention": {"site", "measured"}}
_EMPTY = inspect.Parameter.empty
_WRAP = "write a class or a function of your own around it"
_FIRST: Mapping[str, str] = {
    "attention": "the number of channels comes first: __init__(self, channels, …)",
    "model": "what the model reads and writes comes first: __init__(self, io, …)",
    "dataset": "the data folder comes first: __init__(self, root, …)",
    "optimizer": "the model comes first: (model, …)",
    "schedule": "(optimizer, total_steps, steps_per_epoch, …)",
}
"""What a target must take that takes too little."""


@dataclass(frozen=True, slots=True)
class Option:
    """A keyword parameter of a target. `required` means that it has no default."""

    name: str
    annotation: Any
    default: Any
    required: bool

    def type_name(self) -> str:
        """The annotation as it is written in code; `any` where there is none."""
        if self.annotation is Any:
            return "any"
        text = getattr(self.annotation, "__name__", "") if isinstance(self.annotation, type) else ""
        return text or str(self.annotation).replace("typing.", "")

    def accepts(self, value: Any) -> bool:
        return fits(value, self.annotation)


@dataclass(frozen=True, slots=True)
class Component:
    """What a plugin declared: `target` is "package.module:Attribute", `files` the options that name files.

    `departs`: checks of the conformance kit that it does not keep, and why; `example`: options that it is checked with.
    """

    kind: str
    name: str
    target: str
    summary: str
    source: str
    provider: str
    files: tuple[str, ...] = ()
    departs: Mapping[str, str] = field(default_factory=dict)
    example: Mapping[str, Any] = field(default_factory=dict)

    @property
    def module(self) -> str:
        return self.target.partition(":")[0]

    def load(self) -> Callable[..., Any]:
        """Import the target. Raises ConfigError that names the provider, and where it failed."""
        if foreign.is_target(self.name):
            return foreign.load(self.kind, self.target)
        who = f"{self.kind} '{self.name}' of {self.provider}"
        try:
            mend = f"mend that line, or uninstall {self.provider.rpartition(' ')[0] or self.provider}"
            found = importing.named(self.target, f"mend the spelling of '{self.target}' in harness_register", mend)
        except ConfigError as error:
            raise ConfigError(f"{who} cannot be loaded from '{self.target}': {error.message}", error.hint) from error
        if not callable(found):
            raise ConfigError(f"{who}: target '{self.target}' is not callable")
        return typing.cast("Callable[..., Any]", found)

    def options(self, given: Mapping[str, Any] | None = None) -> tuple[Option, ...]:
        """The keyword parameters of the target, read from its signature. Imports it.

        A target with `**kwargs` may have `takes(a, b)`, which gives the parameters that these stand for where its own
        options a and b are as `given`. Raises ConfigError, also for values of these two that there are not.
        """
        target = self.load()
        own, further = self._own(target), _takes(target)
        if further is None or given is None:
            return own
        known = {o.name: o for o in own}
        wanted = list(inspect.signature(further).parameters)
        if not all(n in given and n in known and known[n].accepts(given[n]) for n in wanted):
            return own
        parameters: Sequence[inspect.Parameter] = further(**{n: given[n] for n in wanted})
        return (*own, *(_option(p, p.annotation if p.annotation is not _EMPTY else Any) for p in parameters))

    def _own(self, target: Callable[..., Any]) -> tuple[Option, ...]:
        parameters = self._parameters(target)
        hints = _hints(target)
        skipped = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD, inspect.Parameter.POSITIONAL_ONLY)
        supplied = _SUPPLIED.get(self.kind, ())
        return tuple(
            _option(p, hints.get(p.name, Any)) for p in parameters if p.kind not in skipped and p.name not in supplied
        )

    def _parameters(self, target: Callable[..., Any]) -> list[inspect.Parameter]:
        """Those behind what the program itself supplies."""
        try:
            parameters = list(inspect.signature(target).parameters.values())
        except (TypeError, ValueError) as error:  # some that are written in C
            raise ConfigError(f"{self.kind} '{self.name}': its options cannot be read: {error}", _WRAP) from error
        count = KINDS[self.kind]
        if parameters and parameters[0].kind is inspect.Parameter.VAR_POSITIONAL:
            # torch's Module says (*args, **kwargs), and takes neither.
            if inspect.isclass(target) and getattr(target.__init__, "__qualname__", "") == "Module.__init__" and count:
                raise ConfigError(f"{self.kind} '{self.name}' has no __init__ that takes anything", _FIRST[self.kind])
            return parameters
        room = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL)]
        if len(room) < count and not (room and room[-1].kind is inspect.Parameter.VAR_POSITIONAL):
            raise ConfigError(f"{self.kind} '{self.name}' takes too few positional arguments", _FIRST[self.kind])
        return parameters[min(count, len(room)) :]

    def mistakes(self, options: Mapping[str, Any]) -> Iterator[tuple[str, ConfigError]]:
        """(option, error) for each unknown, ill-typed or missing option."""
        target = self.load()
        further = _takes(target)
        deciding = [] if further is None else list(inspect.signature(further).parameters)
        try:
            known = {o.name: o for o in self.options(options)}
        except ConfigError as error:
            if not deciding:
                raise
            yield deciding[0], error
            return
        who = f"{self.kind} '{self.name}'" + "".join(f" with {n} '{options[n]}'" for n in deciding if n in options)
        for key, value in options.items():
            if key not in known:
                listing = f"it takes {', '.join(known)}" if known else "it takes no options"
                yield key, ConfigError(f"{who} has no option '{key}'", suggest(key, known, listing))
            elif not known[key].accepts(value):
                shown = f"'{value}'" if isinstance(value, str) else repr(value)
                message = f"{who}: option '{key}' is {shown}, which is no {known[key].type_name()}"
                yield key, ConfigError(message, _number_hint(value))
        for option in known.values():
            if option.required and option.name not in options:
                yield option.name, ConfigError(f"{who} needs the option '{option.name}'")


class Registry:
    """Every component that was declared. A plugin receives its own, which is merged whole or not at all."""

    def __init__(self, provider: str = "") -> None:
        self._provider = provider
        self._components: dict[tuple[str, str], Component] = {}
        self.failures = 0  # plugins that could not be loaded; named in hints of unknown names
        self.origin: Callable[[str, str], str] = lambda kind, name: ""  # where a store says that a name came from

    def add(
        self,
        kind: str,
        name: str,
        target: str,
        *,
        summary: str = "",
        source: str = "",
        files: tuple[str, ...] = (),
        departs: Mapping[str, str] | None = None,
        example: Mapping[str, Any] | None = None,
    ) -> None:
        """Declare a component. `files` are its options that name a file whose content decides the result.

        For `harness check`: `departs`, checks that it does not keep by design, each with the reason; `example`, options
        to check it with where the defaults will not do. Both stand here and not in the target, whose code is hashed.

        Raises ConfigError if the kind is unknown or the name or target is not well formed, ClashError if the name is
        taken.
        """
        if kind not in KINDS:
            raise ConfigError(f"unknown kind '{kind}' for '{name}'", suggest(kind, KINDS))
        if not isinstance(name, str) or not name.replace("-", "_").isidentifier():
            raise ConfigError(f"{kind} {name!r}: a name is letters, digits and underscores, and starts with a letter")
        module, _, attribute = target.partition(":")
        if not module or not attribute:
            raise ConfigError(f"{kind} '{name}': target '{target}' is not of the form 'package.module:Attribute'")
        more = dict(departs or {}), dict(example or {})
        self._insert(Component(kind, name, target, summary, source, self._provider, tuple(files), *more))

    def _insert(self, component: Component) -> None:
        other = self._components.get((component.kind, component.name))
        if other is not None:
            raise ClashError(
                f"{component.kind} '{component.name}' is registered by both {other.provider} and {component.provider}",
                hint=f"uninstall one of them, or leave one out with HARNESS_PLUGINS; {component.provider} is left out",
            )
        self._components[component.kind, component.name] = component

    def merge(self, staged: Registry) -> None:
        """Take over all components of `staged`, or none. Raises ClashError."""
        before = dict(self._components)
        try:
            for component in staged._components.values():
                self._insert(component)
        except ClashError:
            self._components = before
            raise

    def names(self, kind: str) -> tuple[str, ...]:
        """The names of a kind, sorted. Raises UnknownName for an unknown kind."""
        if kind not in KINDS:
            raise UnknownName(f"unknown kind '{kind}'", suggest(kind, KINDS))
        return tuple(sorted(n for k, n in self._components if k == kind))

    def components(self, kind: str | None = None) -> tuple[Component, ...]:
        order = {k: i for i, k in enumerate(KINDS)}
        chosen = [c for c in self._components.values() if kind in (None, c.kind)]
        return tuple(sorted(chosen, key=lambda c: (order[c.kind], c.name)))

    def get(self, kind: str, name: str) -> Component:
        """Look a component up. Raises UnknownName with a suggestion and the list.

        "module:Class" names a class that is no plugin; whether there is one shows only when it is loaded.
        """
        names = self.names(kind)
        if foreign.is_target(name):
            return Component(kind, name, name, "", "", f"module {name.partition(':')[0]}")
        if name not in names:
            message = f"unknown {kind} '{name}'"
            other = [k for k, n in self._components if n == name]
            hint = self.origin(kind, name) or (f"'{name}' is of kind {other[0]}" if other else suggest(name, names))
            if self.failures:
                plugins = "1 plugin" if self.failures == 1 else f"{self.failures} plugins"
                hint += f" ({plugins} failed to load: see `harness doctor`)"
            raise UnknownName(message, hint)
        return self._components[kind, name]

    def build(self, kind: str, name: str, /, *args: Any, **options: Any) -> Any:
        """Check the options, then call the target. Raises ConfigError for the first mistake."""
        component = self.get(kind, name)
        for _, error in component.mistakes(options):
            raise error
        return component.load()(*args, **options)


def suggest(name: str, known: Sequence[str] | Mapping[str, Any], otherwise: str | None = None) -> str:
    """`did you mean 'eca'?` where something is near, else the whole list."""
    # Two letters of three: a swap in a short name. Less, and `triplet_gate` would be taken for `identity_gate`.
    near = difflib.get_close_matches(str(name), list(known), n=1, cutoff=0.66)
    if near:
        return f"did you mean '{near[0]}'?"
    return otherwise if otherwise is not None else f"known: {', '.join(sorted(known)) or 'none'}"


def fits(value: Any, annotation: Any) -> bool:
    """Does a value read from a grid fit an annotation? An int serves as a float; a bool is no number."""
    if annotation is Any or annotation is object:
        return True
    if annotation is None or annotation is type(None):
        return value is None
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        return any(value == a and type(value) is type(a) for a in arguments)
    if origin is not None and type(None) in arguments and value is None:
        return True
    if origin is typing.Union or type(annotation).__name__ == "UnionType":
        return any(fits(value, a) for a in arguments)
    if origin in (tuple, list) or (isinstance(origin, type) and issubclass(origin, Sequence)):
        return isinstance(value, (tuple, list)) and _elements_fit(value, origin, arguments)
    if annotation is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if annotation is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if annotation in (bool, str):
        return isinstance(value, annotation)
    return True  # an annotation of the author's own; the target judges it


def _elements_fit(value: Sequence[Any], origin: Any, arguments: tuple[Any, ...]) -> bool:
    if not arguments:
        return True
    if origin is tuple and not (len(arguments) == 2 and arguments[1] is Ellipsis):
        return len(value) == len(arguments) and all(fits(v, a) for v, a in zip(value, arguments, strict=True))
    return all(fits(v, arguments[0]) for v in value)


def _number_hint(value: Any) -> str | None:
    if isinstance(value, bool):
        return "YAML reads on, off, yes, no, true and false as booleans; put the word in quotes if it is a name"
    return "it stands in quotes, so it is text" if isinstance(value, str) and _is_number(value) else None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _takes(target: Callable[..., Any]) -> Callable[..., Any] | None:
    """What a target with `**kwargs` has to say about them."""
    further = getattr(target, "takes", None)
    if not callable(further):
        return None
    parameters = inspect.signature(target).parameters.values()
    return further if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters) else None


def _option(parameter: inspect.Parameter, annotation: Any) -> Option:
    required = parameter.default is _EMPTY
    return Option(parameter.name, annotation, None if required else parameter.default, required)


def _hints(target: Callable[..., Any]) -> dict[str, Any]:
    """Annotations of the parameters; one that cannot be evaluated (a name for type checkers only) is left out."""
    function: Any = target.__init__ if inspect.isclass(target) else target
    try:
        return typing.get_type_hints(function)
    except Exception:  # a foreign annotation may raise anything
        names = getattr(function, "__globals__", {})
        found = {}
        for key, text in getattr(function, "__annotations__", {}).items():
            try:
                found[key] = eval(text, dict(names)) if isinstance(text, str) else text
            except Exception:
                continue
        return found
