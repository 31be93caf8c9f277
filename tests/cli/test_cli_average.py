"""`s2st average` on the command line: the mean is a checkpoint like any other."""

import numpy as np
import pytest
from safetensors.numpy import load_file


def test_the_mean_of_the_last_two_translates_and_is_inspected(s2st, world, tmp_path):
    mean = tmp_path / "mean"
    outcome = s2st("average", "--last", 2, world.save_dir, "-o", mean)
    assert outcome.code == 0, outcome.err
    folders = sorted(p for p in world.save_dir.glob("checkpoint_0*"))
    parts = [load_file(folder / "weights.safetensors") for folder in folders]
    assert len(parts) == 2
    for name, value in load_file(mean / "weights.safetensors").items():
        expected = (parts[0][name].astype(np.float64) + parts[1][name]) / 2
        np.testing.assert_allclose(value, expected, rtol=1e-7, atol=1e-12)
        assert not np.array_equal(value, parts[1][name])
    text = world.source.read_bytes()
    out = s2st("generate", "--checkpoint", mean, "--threads", 1, stdin=text)
    assert out.code == 0, out.err
    assert len(out.lines) == text.count(b"\n")
    shown = s2st("inspect", mean).out
    assert "the mean of:" in shown
    for folder in folders:
        assert f"  {folder.resolve()}, update {int(folder.name[-7:])}, weight 1" in shown
    assert s2st("inspect", "--verify", mean).code == 0


@pytest.mark.parametrize(
    ("code", "command", "text"),
    [
        (2, "average {forward} {gru} -o {new}", "the architecture is lstm in the first, gru"),
        (2, "average {forward} {other} -o {new}", "cannot be averaged: word"),
        (2, "average {forward} {reversed} -o {new}", "--reverse-source is False"),
        (2, "average --last 2 {save_dir} {save_dir} -o {new}", "--last takes one save folder"),
        (66, "average --last 9 {save_dir} -o {new}", "contains 2 numbered checkpoints, not 9"),
        (66, "average {save_dir} -o {new}", "did you mean"),
        (2, "average {forward}", "--output-folder"),
        (2, "average {forward} -o {forward}", "which this command reads"),
        (74, "average {forward} -o {reversed}", "already exists"),
    ],
)
def test_what_cannot_be_averaged_is_said_in_one_line(s2st, world, tmp_path, code, command, text):
    names = {name: getattr(world, name) for name in
             ("forward", "gru", "other", "reversed", "save_dir")}  # fmt: skip
    s2st(*command.format(new=tmp_path / "new", **names).split()).check_error(code, text)
    assert not (tmp_path / "new").exists()
