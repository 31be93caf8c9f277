"""Makes the packages under examples/ importable: `demo_corpus`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
