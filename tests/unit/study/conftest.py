"""The study of examples/sutskever2014 as modules `study.*`."""

import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[3] / "examples"
sys.path[:0] = [str(EXAMPLES / "sutskever2014"), str(EXAMPLES)]
