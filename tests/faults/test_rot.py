"""A sample of `make torture`'s bit rot, and the checkpoint that a run then resumes from."""

import logging
import os
import random
import shutil

import pytest
import torch
from rotten import damaged_copies, files_below, flip, make_run, make_store, truncate, zero_tail

from s2st.errors import CheckpointError, DataError, InputMissingError
from s2st.jobs.verify_checksums import verify
from s2st.models.model_files import read_saved
from s2st.process.folder_manifest import MANIFEST
from s2st.training.checkpoint import optimizer_tensors
from s2st.training.checkpoint_folder import CheckpointFolder


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, store):
    return make_run(tmp_path_factory.mktemp("run"), store)


def found(check, folder):
    """The file that the error names, None where nothing is found."""
    try:
        check(folder)
    except DataError as error:
        return error.path if "\n" not in str(error) else "more than one line"
    return None


def last_byte(data, draw):
    return data[:-1] + bytes([data[-1] ^ 1 << draw.randrange(8)])


@pytest.mark.parametrize("damage", [flip, last_byte, truncate, zero_tail])
@pytest.mark.parametrize("kind", ["store", "checkpoint"])
def test_damage_of_every_file_is_found_and_named(kind, damage, request, tmp_path):
    folder = tmp_path / kind
    shutil.copytree(request.getfixturevalue(kind), folder)
    verify(folder)
    seen = set()
    for copy, path in damaged_copies(folder, damage, 60, random.Random(5)):
        seen.add(path.name)
        assert found(verify, copy) == str(path)
        if kind == "checkpoint":
            assert found(read_saved, copy) == str(path)
    verify(copy)
    assert seen == {path.name for path in files_below(folder)}


@pytest.mark.parametrize("kind", ["store", "checkpoint"])
def test_every_file_is_missed(kind, request, tmp_path):
    folder = tmp_path / kind
    shutil.copytree(request.getfixturevalue(kind), folder)
    assert len(files_below(folder)) >= 7
    for path in files_below(folder):
        path.rename(tmp_path / "away")
        assert found(verify, folder) == str(path)
        (tmp_path / "away").rename(path)
    verify(folder)


def test_what_is_listed_is_what_is_there(checkpoint, store):
    for folder in (checkpoint, store):
        sizes = verify(folder)
        assert sizes == {
            path.relative_to(folder).as_posix(): path.stat().st_size for path in files_below(folder)
        }
        assert next(iter(sizes)) == MANIFEST


# which checkpoint a run goes on from

DAMAGES = ["weights.safetensors", MANIFEST, "training/state.json", "training/optimizer.safetensors"]


@pytest.fixture
def run(tmp_path, store):
    """A save folder with checkpoints of updates 3, 6 and 9; the last is linked."""
    make_run(tmp_path / "run", store, (3, 6, 9))
    return CheckpointFolder(tmp_path / "run", 3)


def break_file(path):
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_last_checkpoint_falls_back_to_the_one_before(run, name, caplog):
    break_file(run.folder / "checkpoint_last" / name)
    with caplog.at_level(logging.INFO, "s2st"):
        resumed = run.resume()
    assert resumed.state.update == 6
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert str(run.folder / "checkpoint_0000009" / name) in record.getMessage()
    assert "checkpoint_0000006" in record.getMessage()


def test_a_link_that_is_gone_or_leads_nowhere_falls_back_to_the_newest(run, caplog):
    link = run.folder / "checkpoint_last"
    link.unlink()
    assert run.resume().state.update == 9
    os.symlink("checkpoint_0000012", link)
    assert run.resume().state.update == 9
    break_file(run.folder / "checkpoint_0000009" / MANIFEST)
    assert run.resume().state.update == 6
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 3
    link.unlink()
    link.write_text("not even a folder")
    assert run.resume().state.update == 6


def test_without_a_good_one_a_run_is_not_begun_anew(run):
    for path in run.folder.glob("checkpoint_0*"):
        break_file(path / "weights.safetensors")
    with pytest.raises(CheckpointError, match=r"no checkpoint .*checkpoint_0000009/weights"):
        run.resume()
    for path in run.folder.glob("checkpoint_0*"):
        shutil.rmtree(path)
    with pytest.raises(CheckpointError, match="no checkpoint"):  # a link that leads nowhere
        run.resume()
    (run.folder / "checkpoint_last").unlink()
    assert run.resume() is None


def test_copies_of_checkpoints_are_not_taken_for_checkpoints(run):
    (run.folder / "checkpoint_0000009").rename(run.folder / "checkpoint_0000009.bak")
    assert run.resume().state.update == 6


def test_a_bad_newer_checkpoint_does_not_push_out_good_ones(tmp_path, store):
    """Update 9 is bad, the run goes on from 6 and saves 7 and 8: with two kept, both stay."""
    make_run(tmp_path, store, (3, 6, 9))
    break_file(tmp_path / "checkpoint_0000009" / MANIFEST)
    folder = CheckpointFolder(tmp_path, 2)
    resumed = folder.resume()
    model = resumed.saved.record.build()
    optimizer = torch.optim.Adam(model.parameters())
    resumed.load_into(model, optimizer)
    for update in (7, 8):
        resumed.state.update = update
        tensors = model.state_dict(), optimizer_tensors(optimizer)
        folder.save(resumed.saved.record, *tensors, resumed.state, resumed.identity)
    for update in (7, 8):
        verify(tmp_path / f"checkpoint_{update:07d}")
    assert not (tmp_path / "checkpoint_0000006").exists()
    assert folder.resume().state.update == 8


def test_a_checkpoint_that_is_not_there_is_called_missing(tmp_path):
    with pytest.raises(InputMissingError, match="no such"):
        verify(tmp_path / "none")
