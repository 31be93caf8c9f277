"""Which options may change when a run is resumed, and which must stay the same."""

from dataclasses import replace

import pytest

from s2st.errors import UsageError
from s2st.jobs.train import TRAIN_SPEC
from s2st.jobs.training_resume_checks import (
    check_identity,
    identity_options,
    keep_hashes_of_missing_files,
)
from s2st.options.resolution import OptionSource, resolve
from s2st.training.checkpoint import RunIdentity


def identity(**values):
    options = resolve(TRAIN_SPEC, [OptionSource("test", values)])
    mathematics, other = identity_options(options, options.configs["arch"])
    return RunIdentity(mathematics, "hash", other), options


def test_the_same_options_go_on():
    new, options = identity(lr=0.5)
    check_identity(identity(lr=0.5, log_interval=3)[0], new, options, "run")


def test_what_differs_is_named():
    new, options = identity(lr=0.5, layer_norm=True, ema_decay=0.9)
    with pytest.raises(UsageError) as caught:
        check_identity(identity(lr=0.25)[0], new, options, "run")
    for part in ("--lr was 0.25, is 0.5", "--layer-norm was False, is True", "--ema-decay was 0.0"):
        assert part in str(caught.value)
    assert "--seed" not in str(caught.value)


def test_an_option_that_the_run_does_not_know_had_its_default():
    old, _ = identity()
    older = {
        k: v
        for k, v in old.options.items()
        if k not in ("layer_norm", "adaptive_cutoffs", "ema_decay")
    }
    new, options = identity()
    check_identity(replace(old, options=older), new, options, "run")
    for values in ({"layer_norm": True}, {"ema_decay": 0.5}, {"adaptive_cutoffs": [3]}):
        new, options = identity(**values)
        with pytest.raises(UsageError, match=next(iter(values)).replace("_", "-")):
            check_identity(replace(old, options=older), new, options, "run")


def test_other_data_are_refused():
    new, options = identity()
    with pytest.raises(UsageError, match="other data"):
        check_identity(replace(new, data="another"), new, options, "run")


def test_a_vector_file_that_is_gone_is_the_one_it_was(tmp_path):
    path = tmp_path / "v.txt"
    path.write_text("a 1 2\n")
    old, options = identity(source_embeddings=str(path))
    assert old.options["source_embeddings"].startswith("sha256:")
    path.unlink()
    new, options = identity(source_embeddings=str(path))
    assert "source_embeddings" not in new.options
    check_identity(old, keep_hashes_of_missing_files(old, new, options), options, "run")
    path.write_text("a 1 3\n")
    new, options = identity(source_embeddings=str(path))
    with pytest.raises(UsageError, match="--source-embeddings"):
        check_identity(old, keep_hashes_of_missing_files(old, new, options), options, "run")
