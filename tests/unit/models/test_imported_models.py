"""Models of fairseq and OpenNMT-py: what these programs compute, against the imported checkpoints.

The folders in tests/imported come from the programs themselves, by the scripts beside them. The
beam searches differ in when they stop: where ours finds another translation, its log-probability is
higher.
"""

import json
import shutil
from pathlib import Path

import pytest

import s2st
from s2st.errors import S2STError
from s2st.jobs.import_model import import_fairseq, import_onmt

FOLDERS = sorted(path.parent for path in Path(__file__).parents[2].glob("imported/*/expected.json"))
ONMT = FOLDERS[0].parent / "onmt-mlp"


def imported(folder, checkpoint):
    job = import_fairseq if folder.name.startswith("fairseq") else import_onmt
    job(str(folder), str(checkpoint), "en", "fr")
    return s2st.load(str(checkpoint))


def test_every_folder_has_answers():
    names = {folder.name.split("-")[0] for folder in FOLDERS}
    assert names == {"fairseq", "onmt"}
    assert len(FOLDERS) == 7


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_log_probabilities_and_translations_are_theirs(folder, tmp_path):
    expected = json.loads((folder / "expected.json").read_text())
    model = imported(folder, tmp_path / "model")
    sources = expected["source"]
    for found, theirs in zip(
        model.score(sources, expected["target"]), expected["log_probs"], strict=True
    ):
        assert found.token_log_probs == pytest.approx(theirs, abs=1e-4)
    longest = {"max_len_a": 0, "max_len_b": 9}
    longest["min_len"] = int(folder.name.startswith("fairseq"))
    greedy = [str(line) for line in model.translate(sources, search="greedy", **longest)]
    assert greedy == expected["greedy"]
    assert len(set(greedy)) > 4
    beam = [str(line) for line in model.translate(sources, beam=4, lenpen=0, **longest)]
    ours, theirs = (model.score(sources, lines) for lines in (beam, expected["beam"]))
    same = 0
    for line, their_line, own, other in zip(beam, expected["beam"], ours, theirs, strict=True):
        assert line == their_line or own.log_prob > other.log_prob
        same += line == their_line
    assert same >= 4


@pytest.fixture
def folder(tmp_path):
    """A copy of a model of OpenNMT-py."""
    return Path(shutil.copytree(ONMT, tmp_path / "converted"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder_type": "cnn"}, "the encoder 'cnn' and the decoder 'rnn'; s2st reads"),
        ({"rnn_type": "SRU"}, "rnn_type is 'SRU'; s2st has LSTM and GRU"),
        ({"copy_attn": True}, "copy_attn is True; s2st reads models with False"),
        ({"coverage_attn": True}, "coverage_attn is True"),
        ({"global_attention_function": "sparsemax"}, "'sparsemax'; s2st reads models with 'soft"),
        ({"model_task": "lm"}, "model_task is 'lm'; s2st reads models with 'seq2seq'"),
        ({"lora_layers": ["linear_query"]}, r"lora_layers is \['linear_query'\]"),
        ({"encoder_type": "transformer", "decoder_type": "transformer"}, "position_encoding is F"),
    ],
)
def test_what_cannot_be_imported_is_named(folder, tmp_path, changes, message):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(S2STError, match=message):
        import_onmt(str(folder), str(tmp_path / "out"), "en", "fr")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tgt": ["<unk>", "<blank>", "</s>", "v"]}, "tgt has no <s>"),
        ({"src": "a b"}, "src is not a list of tokens"),
        ({"src": ["<unk>", "<blank>", "<s>", "</s>", "a", "a"]}, "a token twice"),
        ({"src": ["<unk>", "<blank>", "<s>", "</s>", "a"]}, "9 rows of words, but 5 tokens in"),
    ],
)
def test_vocabularies_that_do_not_fit_are_refused(folder, tmp_path, changes, message):
    path = folder / "vocab.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(S2STError, match=message):
        import_onmt(str(folder), str(tmp_path / "out"), "en", "fr")
