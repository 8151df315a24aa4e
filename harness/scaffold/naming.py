"""All names of a new package, from one name; and which names cannot be."""

from __future__ import annotations

import importlib.util
import keyword
import re
from dataclasses import dataclass

from ..errors import ConfigError
from ..registry import Registry
from .kinds import KINDS

LONGEST = 30  # no generated line is then longer than 120 characters
# A name becomes a module, a class and, with dashes, a distribution: the last may not end in a dash, and file systems
# that ignore case would take two spellings for one.
_FORM = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Names:
    """`my_block` -> package `harness_my_block`, distribution `harness-my-block`, class `MyBlockAttention`."""

    kind: str
    name: str

    @property
    def package(self) -> str:
        return f"harness_{self.name}"

    @property
    def distribution(self) -> str:
        return f"harness-{self.name.replace('_', '-')}"

    @property
    def module(self) -> str:
        return KINDS[self.kind].module

    @property
    def cls(self) -> str:
        """Ends in the kind: a component `tensor` or `none` then hides no other name, and `l1_loss` says it once."""
        words = self.name.split("_")
        return "".join(w[0].upper() + w[1:] for w in [*words, *([] if words[-1] == self.kind else [self.kind])])

    @property
    def target(self) -> str:
        return f"{self.package}.{self.module}:{self.cls}"


def names_for(kind: str, name: str, registry: Registry) -> Names:
    """Raises ConfigError for a kind without template, or a name that is not well formed or is taken."""
    if kind not in KINDS:
        raise ConfigError(f"there is no template for kind '{kind}'", hint=f"kinds: {', '.join(KINDS)}")
    if keyword.iskeyword(name):
        raise ConfigError(f"{kind} '{name}': that is a keyword of Python", hint=f"for instance '{name}_{kind}'")
    if not _FORM.fullmatch(name) or len(name) > LONGEST:
        raise ConfigError(
            f"{kind} {name!r}: a name is small letters, digits and single underscores between them, starts with a "
            f"letter and has at most {LONGEST} characters",
            hint=_instead(name),
        )
    names = Names(kind, name)
    if name in registry.names(kind):
        provider = registry.get(kind, name).provider
        raise ConfigError(f"{kind} '{name}' is taken: {provider} registers it", hint="choose another name")
    if importlib.util.find_spec(names.package) is not None:
        # `losses` would be such a name: the package `harness_losses` ships with the program.
        raise ConfigError(
            f"{kind} '{name}': there is a package '{names.package}' already, which this one would hide",
            hint="choose another name",
        )
    return names


def _instead(name: str) -> str:
    """A name near to this one that would do, where there is one."""
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)  # MyBlock -> My_Block
    near = re.sub(r"[^a-z0-9]+", "_", split.lower()).strip("_").lstrip("0123456789_")
    fits = name.isascii() and _FORM.fullmatch(near) and len(near) <= LONGEST and not keyword.iskeyword(near)
    return f"for instance '{near}'" if fits else "for instance 'my_block'"
