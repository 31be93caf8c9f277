"""Training with a decoder per language over two processes: the same bits as one process."""

import pytest
from builders import SOURCE_WORDS, TARGET_WORDS
from ranks_job import train
from test_data_parallel import OPTIONS, assert_same, two_ranks

from s2st.data.preprocess import write_store
from s2st.data.preprocess_options import PreprocessConfig
from s2st.text.tokenizers import NoneConfig, TokenizerSpec

pytestmark = pytest.mark.slow
KINDS = {
    "adam": {"optimizer": "adam", "lr": 0.02},
    "sgd": {"optimizer": "sgd", "lr": 0.5, "clip_norm": 0.5},  # sparse tables
}


@pytest.fixture
def data(tmp_path):
    """English to French and to Korean: 5 and 4 batches, so that one update has both languages."""
    import numpy as np

    rng = np.random.default_rng(1)
    pairs = []
    for target, count in (("fr", 24), ("ko", 17)):
        for language, words in (("en", SOURCE_WORDS), (target, TARGET_WORDS)):
            lines = [" ".join(rng.choice(words.split(), rng.integers(1, 6))) for _ in range(count)]
            (tmp_path / f"{target}.{language}").write_text("\n".join(lines) + "\n")
        pairs.append(f"en-{target}:{tmp_path}/{target}")
    config = PreprocessConfig(
        pair=tuple(pairs), validpref=tuple(pairs), destdir=str(tmp_path / "store")
    )
    specs = [TokenizerSpec("none", NoneConfig(), name) for name in ("en", "fr", "ko")]
    write_store(config, *specs)
    return str(tmp_path / "store")


def test_two_processes_are_one_that_accumulates(tmp_path, data):
    def options(kind, name):
        chosen = OPTIONS | KINDS[kind] | {"decoders": "per-language", "corpus_temperature": 2.0}
        return chosen | {"save_dir": str(tmp_path / f"{kind} {name}")}

    for kind in KINDS:
        train(data, options(kind, "one"))
    said = two_ranks([(data, options(kind, "two"), 0) for kind in KINDS])
    assert said[0] == said[1] == ["updates 15"] * 2
    for kind in KINDS:
        assert_same(tmp_path / f"{kind} one", tmp_path / f"{kind} two")
