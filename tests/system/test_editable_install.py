"""The editable install that `make` makes works in every folder, also one that holds `s2st/`."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILD = "import sys; from setuptools.build_meta import build_editable; build_editable(sys.argv[1])"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder that holds a clone called `s2st`, and the python of an environment that has it.

    Dependencies are those of this environment.
    """
    pytest.importorskip("setuptools", minversion="77")
    parent = tmp_path_factory.mktemp("parent")
    clone = parent / "s2st"
    for name in ("s2st", "s2st_cli"):
        shutil.copytree(ROOT / name, clone / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, clone)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    subprocess.run([sys.executable, "-c", BUILD, parent], cwd=clone, check=True, env=environment,
                   capture_output=True)  # fmt: skip
    home = parent / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
    (site,) = home.glob("lib/python*/site-packages")
    with zipfile.ZipFile(next(parent.glob("*.whl"))) as wheel:
        wheel.extractall(site)
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return parent, home / "bin" / "python"


PLAIN = ["-m", "s2st_cli"]
TORCHRUN = ["-m", "torch.distributed.run", "--nproc-per-node", "1", *PLAIN]


@pytest.mark.parametrize(
    ("start", "where"), [(PLAIN, "."), (PLAIN, "s2st"), (PLAIN, "s2st/s2st"), (TORCHRUN, ".")]
)
def test_the_program_runs_in_and_above_its_clone(installed, start, where):
    parent, python = installed
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [python, *start, "--version"], cwd=parent / where, env=environment,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout.split(",")[0]) == (0, "s2st"), done.stderr
