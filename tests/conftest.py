"""For every test, before torch is imported: threads that wait must not burn the cores that other tests compute on."""

from __future__ import annotations

import os

# OpenMP's threads spin while they wait. Two test processes of two threads on two cores then run six to ten times
# slower than one after the other, and programs under test miss their deadlines. xdist already fills the cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")
