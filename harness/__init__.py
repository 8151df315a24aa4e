"""An ablation harness that can be believed: grids of registered components, trained, paired, compared.

Importing this package imports neither torch nor any plugin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .errors import HarnessError
from .hookspecs import hookimpl

if TYPE_CHECKING:
    from .api import ablate, load_registry, load_trial

__all__ = ["HarnessError", "ablate", "hookimpl", "load_registry", "load_trial"]


def __getattr__(name: str) -> Any:
    # The API pulls in NumPy and the store; `harness --help` and plugin entry modules should not pay for that.
    if name in {"ablate", "load_registry", "load_trial"}:
        from . import api

        return getattr(api, name)
    raise AttributeError(f"module 'harness' has no attribute '{name}'")
