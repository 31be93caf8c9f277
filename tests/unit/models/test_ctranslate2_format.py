"""Conversion to CTranslate2: its own scores and translations against those of s2st."""

import builders
import pytest
import torch

from s2st.data.batch import make_batch
from s2st.errors import UsageError
from s2st.models.ctranslate2_format import write_ctranslate2
from s2st.models.registry import ARCHITECTURES
from s2st.search.registry import SEARCHES

PAIRS = [("a b", "v w x"), ("c", "y"), ("d e f a", "w w v x y"), ("b b", "")]


def scorer_of(seed, **changes):
    sizes = {"layers": 2, "hidden_size": 6, "heads": 2, "dropout": 0.0, **changes}
    return builders.scorer(
        "transformer", ARCHITECTURES.get("transformer").config_type(**sizes), seed
    )


def converted(tmp_path, scorer):
    ctranslate2 = pytest.importorskip("ctranslate2")
    record = builders.record("transformer", scorer.model.config)
    folder = tmp_path / "converted"
    folder.mkdir()
    write_ctranslate2(folder, record, scorer.model)
    return ctranslate2.Translator(str(folder), device="cpu", compute_type="float32")


MARIAN = {"norm": "post", "tie_embeddings": "output", "decoder_layers": 1, "activation": "silu",
          "positions": "half-sinusoids", "output_bias": True}  # fmt: skip
GPT2 = {"activation": "gelu-tanh", "positions": "learned", "max_positions": 20,
        "scale_embeddings": False}  # fmt: skip
CHANGES = [{}, {"norm": "post", "tie_embeddings": "output", "heads": 3}, MARIAN, GPT2,
           {"activation": "gelu"}, {"norm_epsilon": 0.01}]  # fmt: skip


@pytest.mark.parametrize("changes", CHANGES)
def test_scores_are_those_of_ctranslate2(tmp_path, changes):
    scorer = scorer_of(1, **changes)
    translator = converted(tmp_path, scorer)
    sources, targets = zip(*PAIRS, strict=True)
    found = translator.score_batch([s.split() for s in sources], [t.split() for t in targets])
    ids = [
        (scorer.source.vocabulary.encode(s.split()), scorer.target.vocabulary.encode(t.split()))
        for s, t in PAIRS
    ]
    batch = make_batch(*zip(*ids, strict=True), range(len(ids)))
    for row, own, mask in zip(found, scorer.score(batch), batch.target_mask(), strict=True):
        theirs = torch.tensor(row.log_probs, dtype=own.dtype)
        assert torch.allclose(theirs, own[mask], atol=1e-4)


def test_sources_without_eos(tmp_path):
    scorer = scorer_of(1, source_eos=False)
    translator = converted(tmp_path, scorer)
    pair = "a b c", "v w"
    (found,) = translator.score_batch([pair[0].split()], [pair[1].split()])
    sides = (scorer.source.vocabulary, scorer.target.vocabulary)
    ids = [[side.encode(text.split())] for side, text in zip(sides, pair, strict=True)]
    own = scorer.score(make_batch(*ids, [0]))[0]
    assert torch.allclose(torch.tensor(found.log_probs, dtype=own.dtype), own, atol=1e-4)


def test_greedy_translations_are_those_of_ctranslate2(tmp_path):
    greedy = SEARCHES.get("greedy").build(SEARCHES.get("greedy").config_type())
    lines = [source.split() for source, _ in PAIRS]
    for seed in range(100):
        scorer = scorer_of(seed)
        rows = [scorer.source.vocabulary.encode(line) for line in lines]
        found = [group[0] for group in greedy(scorer, builders.source_batch(rows))]
        if all(hypothesis.finished for hypothesis in found) and any(h.tokens for h in found):
            break
    translator = converted(tmp_path, scorer)
    results = translator.translate_batch(
        lines, beam_size=1, max_decoding_length=30, min_decoding_length=0
    )
    own = [list(scorer.target.vocabulary.decode(hypothesis.tokens)) for hypothesis in found]
    assert [result.hypotheses[0] for result in results] == own


@pytest.mark.parametrize("changes", [GPT2, {"norm": "post"}])
def test_scores_of_a_language_model_are_those_of_ctranslate2(tmp_path, changes):
    ctranslate2 = pytest.importorskip("ctranslate2")
    kind = ARCHITECTURES.get("transformer-lm").config_type
    config = kind(layers=2, hidden_size=6, heads=2, dropout=0.0, **changes)
    scorer = builders.scorer("transformer-lm", config, 3)
    write_ctranslate2(tmp_path, builders.record("transformer-lm", config), scorer.model)
    generator = ctranslate2.Generator(str(tmp_path), device="cpu", compute_type="float32")
    targets = [target.split() for _, target in PAIRS]
    found = generator.score_batch([["<s>", *words, "</s>"] for words in targets])
    ids = [scorer.target.vocabulary.encode(words) for words in targets]
    batch = make_batch([[] for _ in ids], ids, range(len(ids)))
    for row, own, mask in zip(found, scorer.score(batch), batch.target_mask(), strict=True):
        theirs = torch.tensor(row.log_probs, dtype=own.dtype)
        assert torch.allclose(theirs, own[mask], atol=1e-4)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("lstm", {"embedding_size": 6}, "no architecture lstm"),
        ("transformer", {"heads": 2, "reverse_target": True}, "right to left"),
        ("transformer", {"heads": 2, "softmax": "adaptive"}, "adaptive"),
    ],
)
def test_models_that_ctranslate2_cannot_compute_are_refused(tmp_path, name, changes, message):
    sizes = {"layers": 1, "hidden_size": 6, "dropout": 0.0}
    config = ARCHITECTURES.get(name).config_type(**sizes, **changes)
    record = builders.record(name, config)
    with pytest.raises(UsageError, match=message):
        write_ctranslate2(tmp_path, record, record.build())
    assert not list(tmp_path.iterdir())
