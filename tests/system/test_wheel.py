"""The built wheel, in an environment of its own outside the repository, runs docs/python.md."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import urllib.request
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILD = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.extensive
def test_the_wheel_runs_the_python_page(tmp_path):
    pytest.importorskip("setuptools", minversion="77")
    tree = tmp_path / "tree"
    for name in ("s2st", "s2st_cli", "s2st_server"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment["OMP_NUM_THREADS"] = "1"
    subprocess.run(
        [sys.executable, "-c", BUILD, tmp_path], cwd=tree, check=True, env=environment,
        capture_output=True,
    )  # fmt: skip
    home = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
    (site,) = home.glob("lib/python*/site-packages")
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        wheel.extractall(site)
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    assert (site / "s2st" / "py.typed").exists()
    blocks = BLOCK.findall((ROOT / "docs" / "python.md").read_text("utf-8"))
    place = tmp_path / "elsewhere"
    place.mkdir()
    (place / "page.py").write_text("\n".join([*blocks, "print(s2st.__file__)"]), "utf-8")
    done = subprocess.run(
        [home / "bin" / "python", "page.py"], cwd=place, env=environment, capture_output=True,
        text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = [line[2:] for block in blocks for line in block.splitlines() if line.startswith("# ")]
    assert done.stdout.splitlines() == [*said, str(site / "s2st" / "__init__.py")]
    assert done.stderr == ""
    # the page's script and style sheet are in the wheel too
    words = ["explain", "the dog runs .", "--checkpoint", "model/checkpoint_best"]
    page = subprocess.run(
        [home / "bin" / "python", "-m", "s2st_cli", *words], cwd=place, env=environment,
        capture_output=True, text=True, timeout=120, check=True,
    ).stdout  # fmt: skip
    assert page.startswith("<!DOCTYPE html>")
    assert len(re.findall(r"<style>.{1000,}</style>", page, re.DOTALL)) == 1
    assert len(re.findall(r"<script>.{1000,}</script>", page, re.DOTALL)) == 1
    pytest.importorskip("uvicorn")
    words = ["serve", "--checkpoint", "model/checkpoint_best", "--port", "0"]
    server = subprocess.Popen(
        [home / "bin" / "python", "-m", "s2st_cli", *words], cwd=place, env=environment,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        address = next(filter(None, (re.search(r"http://\S+", line) for line in server.stderr)))[0]
        with urllib.request.urlopen(address, timeout=60) as answer:
            assert answer.read().startswith(b"<!DOCTYPE html>")
        server.terminate()
        assert server.wait(60) == 0
    finally:
        server.kill()
        server.communicate()
