"""`--subword-sampling`: the same bits after a stop, on two processes, and with prefetching."""

import json

import pytest
from test_data_parallel import OPTIONS, assert_same, files, train, two_ranks

from s2st.data.preprocess import write_store
from s2st.data.preprocess_options import PreprocessConfig
from s2st.text.tokenizers import SentencePieceConfig, SubwordNmtConfig, TokenizerSpec

pytestmark = pytest.mark.slow
WORDS = {
    "en": "the lowest tower slept newer flowers newest lower flower towers",
    "fr": "la plus basse tour dormait les nouvelles fleurs une fleur",
}
TOKENIZERS = {
    "sentencepiece": SentencePieceConfig(sentencepiece_vocab_size=40),
    "subword-nmt": SubwordNmtConfig(bpe_merges=20),
}
SAMPLED = {
    **OPTIONS, "subword_sampling": True, "normalization": "tokens", "optimizer": "adam",
    "lr": 0.02, "bpe_dropout": 0.3,
}  # fmt: skip


@pytest.fixture(scope="module", params=TOKENIZERS)
def data(request, tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("data")
    for language, words in WORDS.items():
        row = words.split()
        lines = [" ".join(row[i % len(row)] for i in range(n, n + 2 + n % 4)) for n in range(24)]
        for split in ("train", "valid"):
            (folder / f"{split}.{language}").write_text("".join(f"{line}\n" for line in lines))
    config = PreprocessConfig(
        source_lang="en", target_lang="fr", trainpref=(str(folder / "train"),),
        validpref=(str(folder / "valid"),), destdir=str(folder / "store"),
    )  # fmt: skip
    name = request.param
    write_store(config, *(TokenizerSpec(name, TOKENIZERS[name], lang) for lang in ("en", "fr")))
    return str(folder / "store")


def test_stops_and_processes_change_nothing(data, tmp_path):
    def options(name, **more):
        return {**SAMPLED, "save_dir": str(tmp_path / name), **more}

    train(data, options("straight"))
    with pytest.raises(Exception, match="stopped by SIGTERM at update 2"):
        train(data, options("resumed"), stop=2)
    train(data, options("resumed"))
    assert_same(tmp_path / "straight", tmp_path / "resumed")
    with pytest.raises(Exception, match="stopped by SIGTERM at update 2"):
        train(data, options("elastic"), stop=2)
    two_ranks([(data, options("two"), 0), (data, options("elastic"), 0)])
    assert_same(tmp_path / "straight", tmp_path / "two")
    assert_same(tmp_path / "straight", tmp_path / "elastic")
    train(data, options("stored", subword_sampling=False, bpe_dropout=0.1))
    plain, sampled = (files(tmp_path / name)[2] for name in ("stored", "straight"))
    assert json.dumps(plain["history"]) != json.dumps(sampled["history"])
