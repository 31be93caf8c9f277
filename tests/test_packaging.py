"""Versions that the project names in several places: pyproject, constraints and the CI matrix."""

import re
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from s2st.options.option_fields import read_toml

ROOT = Path(__file__).parents[1]
PROJECT = read_toml(ROOT / "pyproject.toml")["project"]
WORKFLOW = (ROOT / ".github" / "workflows" / "tests.yml").read_text("utf-8")
PINS = [
    Requirement(line)
    for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    if line and not line.startswith("#")
]
PREFIX = "Programming Language :: Python :: "
PYTHONS = [entry.removeprefix(PREFIX) for entry in PROJECT["classifiers"] if PREFIX in entry]


def matrix(name: str) -> list[str]:
    """A list of the workflow's matrix."""
    (values,) = re.findall(rf"^ +{name}: \[(.*)\]$", WORKFLOW, re.MULTILINE)
    return [value.strip(' "') for value in values.split(",")]


@pytest.mark.parametrize("pin", PINS, ids=lambda pin: pin.name)
def test_every_supported_python_can_install_a_pinned_version(pin: Requirement) -> None:
    try:
        installed = metadata.metadata(pin.name)
    except metadata.PackageNotFoundError:
        pytest.skip("not installed here")
    if not pin.specifier.contains(installed["Version"]):
        pytest.skip("another version is installed here")
    needs = SpecifierSet(installed["Requires-Python"] or "")
    for python in PYTHONS:
        pinned = pin.marker is None or pin.marker.evaluate({"python_version": python})
        assert not pinned or needs.contains(f"{python}.99"), f"Python {python}"


def test_the_matrix_has_the_oldest_and_the_newest_python_and_torch() -> None:
    (torch,) = (
        needed for needed in map(Requirement, PROJECT["dependencies"]) if needed.name == "torch"
    )
    assert {PYTHONS[0], PYTHONS[-1]} <= set(matrix("python")) <= set(PYTHONS)
    assert SpecifierSet(PROJECT["requires-python"]) == SpecifierSet(f">={PYTHONS[0]}")
    oldest, newest = matrix("torch")
    assert torch.specifier == SpecifierSet(f">={oldest.removesuffix('.0')}")
    assert newest == "newest"


def test_the_workflow_calls_targets_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    called = re.findall(r"make ([\w-]+)", WORKFLOW)
    assert {"check", "test", "test-all"} == set(called)
    for target in called:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
