"""The components of these tests are in a module beside them, which targets must be able to import."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
