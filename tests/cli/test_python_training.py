"""The Python interface: `preprocess` and `train` do what the commands do."""

import filecmp
import logging

import numpy as np
import pytest

import s2st as library

OPTIONS = {
    "arch": "gru", "layers": 1, "hidden_size": 16, "embedding_size": 16, "dropout": 0,
    "max_epoch": 2, "batch_size": 32, "lr": 0.05, "threads": 1, "log_interval": 2,
}  # fmt: skip


@pytest.fixture
def store(world, tmp_path):
    report = library.preprocess(
        source_lang="en", target_lang="fr", trainpref=world.folder / "train",
        validpref=[str(world.folder / "valid")], destdir=tmp_path / "store", nwordssrc=150,
        nwordstgt=np.int64(150),
    )  # fmt: skip
    assert report.folder == tmp_path / "store"
    assert report.words == {"en": 150, "fr": 150}
    return tmp_path / "store"


@pytest.fixture
def untouched_log(monkeypatch):
    """The logger as in a program that has not set up logging; earlier commands gave it handlers."""
    log = logging.getLogger("s2st")
    monkeypatch.setattr(log, "handlers", [logging.NullHandler()])
    monkeypatch.setattr(log, "propagate", True)
    before = log.level
    log.setLevel(logging.NOTSET)
    yield log
    log.setLevel(before)


def test_a_store_and_a_model_are_those_of_the_commands(s2st, world, store, tmp_path):
    names = sorted(path.name for path in store.iterdir())
    assert names == sorted(path.name for path in world.store.iterdir())
    assert filecmp.cmpfiles(store, world.store, names, shallow=False) == (names, [], [])
    result = library.train(store, save_dir=tmp_path / "api", **OPTIONS)
    flags = [x for name, value in OPTIONS.items() for x in (f"--{name.replace('_', '-')}", value)]
    outcome = s2st("train", store, *flags, "--save-dir", tmp_path / "command")
    assert outcome.code == 0, outcome.err
    for name in ("checkpoint_best", "checkpoint_last"):
        one, other = tmp_path / "api" / name, tmp_path / "command" / name
        assert filecmp.cmp(
            one / "weights.safetensors", other / "weights.safetensors", shallow=False
        )
    metrics = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("api", "command")]
    assert len(metrics[0].splitlines()) == len(metrics[1].splitlines())
    assert result.epochs == 2
    assert not result.resumable
    # the same call continues; here there is nothing left to do
    again = library.train(store, save_dir=tmp_path / "api", **OPTIONS)
    assert again.update == result.update


def test_the_callback_hears_the_reports_and_train_log_every_message(
    store, untouched_log, tmp_path, capfd
):
    heard = []
    capfd.readouterr()
    library.train(store, callback=heard.append, save_dir=tmp_path / "m", **OPTIONS)
    updates = [one for one in heard if isinstance(one, library.UpdateReport)]
    validations = [one for one in heard if isinstance(one, library.ValidationReport)]
    assert len(heard) == len(updates) + len(validations)
    assert [round(one.epoch, 6) for one in validations] == [1, 2]
    lines = (tmp_path / "m" / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == len(heard)
    text = (tmp_path / "m" / "train.log").read_text()
    assert "done after" in text
    assert "saved checkpoint" in text
    assert capfd.readouterr() == ("", "")


def test_the_programs_logging_hears_what_it_asks_for(store, untouched_log, tmp_path, caplog):
    log = untouched_log
    caplog.clear()
    library.train(store, save_dir=tmp_path / "quiet", **OPTIONS)
    assert [one for one in caplog.records if one.levelno < logging.WARNING] == []
    assert log.propagate
    assert log.level == logging.NOTSET
    with caplog.at_level(logging.INFO, "s2st"):
        library.train(store, save_dir=tmp_path / "quiet", **OPTIONS)
    assert any("done after" in one.getMessage() for one in caplog.records)


def test_an_exception_of_the_callback_ends_the_training_and_the_same_call_resumes(store, tmp_path):
    def stop(report):
        if isinstance(report, library.ValidationReport):
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        library.train(
            store, callback=stop, save_interval_updates=2, save_dir=tmp_path / "m", **OPTIONS
        )
    result = library.train(store, save_interval_updates=2, save_dir=tmp_path / "m", **OPTIONS)
    whole = library.train(store, save_interval_updates=2, save_dir=tmp_path / "whole", **OPTIONS)
    assert result.best_nll == whole.best_nll
    one, other = (tmp_path / name / "checkpoint_last" for name in ("m", "whole"))
    assert filecmp.cmp(one / "weights.safetensors", other / "weights.safetensors", shallow=False)


def test_a_file_of_options_and_a_recipe(store, tmp_path):
    file = tmp_path / "options.toml"
    file.write_text('arch = "gru"\nhidden-size = 8\nmax-update = 1\n')
    result = library.train(
        store, config=file, embedding_size=8, layers=1, threads=1, save_dir=tmp_path / "m"
    )
    assert result.update == 1
    with pytest.raises(library.UsageError, match="unknown recipe 'cake'"):
        library.train(store, recipe="cake")


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"max_epochs": 3}, "ConfigError", "unknown option 'max_epochs'; did you mean max_epoch"),
        ({"max_epoch": "3"}, "ConfigError", "s2st.train(): --max-epoch takes a number"),
        ({"max_update": 2.5}, "ConfigError", "--max-update takes a whole number, not 2.5"),
        ({"dropout": -1}, "ConfigError", "the minimum is 0"),
        ({"arch": "lstn"}, "UsageError", "did you mean lstm"),
        ({"arch": 3}, "UsageError", "arch must be a name"),
        ({"arch": "gru", "heads": 2}, "ConfigError", "'heads' belongs to architecture"),
        ({"momentum": 0.5}, "ConfigError", "'momentum' belongs to optimizer 'sgd'"),
        ({"dry_run": True}, "ConfigError", "command line only"),
        ({"callback": "print"}, "UsageError", "callback must be a function"),
        ({"plugin": ["no_such_module"]}, "UsageError", "plugin 'no_such_module' cannot be loaded"),
        ({"plugin": 3}, "UsageError", "plugin must be a list"),
        ({"config": "none.toml"}, "InputMissingError", "none.toml"),
        ({"device": None}, "ConfigError", "--device needs a value"),
    ],
    ids=str,
)
def test_errors_of_train(world, options, kind, message):
    with pytest.raises(getattr(library, kind)) as caught:
        library.train(world.store, **options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_errors_of_paths(world, tmp_path):
    with pytest.raises(library.UsageError, match="data must be a path"):
        library.train(["bin"])
    with pytest.raises(library.InputMissingError, match="no-store"):
        library.train(tmp_path / "no-store")
    with pytest.raises(library.UsageError, match="is inside"):
        library.train(world.store, save_dir=world.store / "model")
    texts = {"source_lang": "en", "target_lang": "fr", "trainpref": world.folder / "train"}
    with pytest.raises(library.OutputError, match="exists"):
        library.preprocess(destdir=world.store, **texts)
    with pytest.raises(library.ConfigError, match="did you mean trainpref"):
        library.preprocess(train_pref="x")
    with pytest.raises(library.UsageError, match="name a file"):
        library.preprocess(source_lang="en", target_lang="fr", tsv="-", destdir=tmp_path / "x")
