"""For every test, before torch is imported: threads that wait must not burn the cores that other tests compute on."""

from __future__ import annotations

import importlib
import os
from contextlib import suppress

# OpenMP's threads spin while they wait. Two test processes of two threads on two cores then run six to ten times
# slower than one after the other, and programs under test miss their deadlines. xdist already fills the cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")

# torch.compile imports setuptools when it first builds something. That takes the place of the standard `distutils`, and
# it fails where that has come in before by another test; here it comes first.
with suppress(ImportError):
    importlib.import_module("setuptools")
