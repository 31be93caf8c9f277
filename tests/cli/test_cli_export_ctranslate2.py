"""`s2st export --format ctranslate2`: CTranslate2 translates as s2st does."""

import json

import pytest

ARCHITECTURE = ("-a", "transformer", "--heads", 2, "--layers", 1, "--hidden-size", 16)
TRAIN = (*ARCHITECTURE, "--dropout", 0, "--batch-size", 20, "--lr", 0.01, "--max-epoch", 6,
         "--threads", 1)  # fmt: skip


@pytest.fixture(scope="module")
def exported(s2st, world, tmp_path_factory):
    """A tiny Transformer: its checkpoint, and its folder for CTranslate2."""
    pytest.importorskip("ctranslate2")
    folder = tmp_path_factory.mktemp("ctranslate2")
    assert s2st("train", world.store, *TRAIN, "--save-dir", folder / "run").code == 0
    best = folder / "run" / "checkpoint_best"
    outcome = s2st("export", best, folder / "out", "--format", "ctranslate2")
    assert outcome.code == 0, outcome.err
    return best, folder / "out"


@pytest.mark.parametrize("beam", [1, 5])
def test_hypotheses_and_scores_are_those_of_ctranslate2(s2st, world, exported, beam):
    import ctranslate2

    checkpoint, folder = exported
    translator = ctranslate2.Translator(str(folder), device="cpu", compute_type="float32")
    lines = world.source.read_text().split("\n")[:-1]
    found = translator.translate_batch(
        [line.split() for line in lines], beam_size=beam, num_hypotheses=beam, length_penalty=0,
        return_scores=True, max_decoding_length=12, min_decoding_length=0, patience=8,
    )  # fmt: skip
    limits = ("--max-len-a", 0, "--max-len-b", 12)
    options = ("--beam", beam, "--nbest", beam, "--lenpen", 0, "--format", "moses", *limits)
    outcome = s2st("generate", "--checkpoint", checkpoint, world.source, *options)
    own = [[] for _ in lines]
    for row in outcome.data.decode().splitlines():
        number, text, _, score, *_ = row.split(" ||| ")
        own[int(number)].append((text, float(score)))
    compared = 0
    for result, hypotheses in zip(found, own, strict=True):
        theirs = dict(
            zip((" ".join(words) for words in result.hypotheses), result.scores, strict=True)
        )
        assert hypotheses[0][0] == " ".join(result.hypotheses[0])
        for text, score in hypotheses:
            if text in theirs and len(text.split()) < 12:
                assert theirs[text] == pytest.approx(score, abs=1e-4)
                compared += 1
    assert compared > len(lines) * beam * 0.6


def test_the_folder_says_how_to_tokenize(exported):
    _, folder = exported
    record = json.loads((folder / "s2st.json").read_text())
    assert record["tokenizers"]["source"]["name"] == "none"
    assert record["source_prefix"] == []
    assert {"config.json", "model.bin", "source_vocabulary.json"} <= {
        path.name for path in folder.iterdir()
    }


def test_other_architectures_are_refused_in_one_line(s2st, world, tmp_path):
    out = tmp_path / "out"
    outcome = s2st("export", world.forward, out, "--format", "ctranslate2")
    outcome.check_error(2, "no architecture lstm; only transformer and transformer-lm can")
    assert not list(tmp_path.iterdir())
