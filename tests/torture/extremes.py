"""The row of numeric extremes: the runs of tests/cli/test_cli_ranges.py, counted."""

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

from report import Row, Setting

ROOT = Path(__file__).resolve().parents[2]
TEST = "tests/cli/test_cli_ranges.py"


def numbers(setting: Setting) -> Row:
    """Each numeric option of each command at and beyond the ends of its range."""
    found = setting.folder / "tests.xml"
    words = [sys.executable, "-m", "pytest", "-q", "-n", "0", f"--junitxml={found}", TEST]
    words += ["-k", "any_number and generate" if setting.short else "any_number"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True)
    cases = survived = 0
    for case in ElementTree.parse(found).iter("testcase"):
        runs = sum(
            int(p.attrib["value"]) for p in case.iter("property") if p.attrib["name"] == "runs"
        )
        cases += runs
        survived += 0 if any(case.findall(kind) for kind in ("failure", "error")) else runs
    if survived != cases:
        print(done.stdout[-6000:], file=sys.stderr, flush=True)
    fault = "a number at or beyond the end of an option's range"
    return Row(fault, cases, survived, cases - survived)
