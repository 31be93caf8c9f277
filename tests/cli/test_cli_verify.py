"""`s2st inspect --verify`, and `s2st train` over damaged checkpoints and stores."""

import shutil

import pytest


def files_below(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def spoil(path):
    """One bit of the last byte."""
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


@pytest.mark.parametrize("kind", ["store", "forward"])
def test_verify_names_every_file_or_the_bad_one(s2st, world, tmp_path, kind):
    folder = tmp_path / "copy"
    shutil.copytree(getattr(world, kind), folder)
    outcome = s2st("inspect", "--verify", folder)
    assert outcome.code == 0, outcome.err
    names = [line.split(":")[0] for line in outcome.lines]
    assert sorted(folder / name for name in names) == files_below(folder)
    for path in files_below(folder):
        data = path.read_bytes()
        spoil(path)
        s2st("inspect", "--verify", folder).check_error(65, str(path))
        path.unlink()
        s2st("inspect", "--verify", folder).check_error(65, str(path))
        path.write_bytes(data)
    (folder / "more.txt").write_text("")
    s2st("inspect", "--verify", folder).check_error(65, "more.txt", "not listed")


def test_verify_needs_a_folder(s2st, world, tmp_path):
    s2st("inspect", "--verify").check_error(2, "PATH")
    s2st("inspect", "--verify", tmp_path / "none").check_error(66, "none")
    s2st("inspect", "--verify", world.source).check_error(66, str(world.source))
    s2st("inspect", "--verify", tmp_path).check_error(65, "manifest.json")


def test_train_goes_on_from_the_newest_good_checkpoint_with_one_warning(
    s2st, world, tmp_path, tiny
):
    command = ["train", world.store, *tiny, "-a", "lstm", "--seed", "2", "--save-dir"]
    straight = (world.save_dir / "checkpoint_last" / "weights.safetensors").read_bytes()
    save_dir = tmp_path / "run"
    assert s2st(*command, save_dir).code == 0
    spoil(save_dir / "checkpoint_last" / "training" / "state.json")
    last = (save_dir / "checkpoint_last").resolve().name
    outcome = s2st(*command, save_dir)
    assert outcome.code == 0, outcome.err
    warnings = [line for line in outcome.err.splitlines() if "warning" in line]
    assert len(warnings) == 1
    assert f"{last}/training/state.json" in warnings[0]
    assert "; using " in warnings[0]
    assert last not in warnings[0].partition("; using ")[2]
    assert (save_dir / last / "weights.safetensors").read_bytes() == straight
    again = s2st(*command, save_dir)
    assert (again.code, "warning" in again.err) == (0, False)
    for path in save_dir.glob("checkpoint_0*"):
        spoil(path / "manifest.json")
    before = files_below(save_dir)
    s2st(*command, save_dir).check_error(65, str(save_dir), "no checkpoint")
    assert files_below(save_dir) == before


def test_train_finds_rot_in_a_store_before_the_first_update(s2st, world, tmp_path, tiny):
    store = tmp_path / "store"
    shutil.copytree(world.store, store)
    path = store / "train.fr.ids.npy"
    data = bytearray(path.read_bytes())
    data[200] ^= 1  # most probably still the id of a word
    path.write_bytes(bytes(data))
    s2st("train", store, *tiny, "--save-dir", tmp_path / "run").check_error(65, str(path))
