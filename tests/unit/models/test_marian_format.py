"""Marian models of Hugging Face as checkpoints: equal to the package transformers.

The models have random weights and several shapes. The reference is the package transformers.
"""

import io
import json
import re

import pytest
import torch

from s2st.errors import S2STError
from s2st.jobs.import_model import import_marian

transformers = pytest.importorskip("transformers")
sentencepiece = pytest.importorskip("sentencepiece")

TEXT = "the cat dog sleeps runs sees a red blue small house tree and bird walks"
WORDS = TEXT.split()
LINES = ["the cat sees a small dog", "a bird", "the red house and the blue tree", "dog runs and"]
SHAPES = {
    "opus": {},
    "deep encoder": {"encoder_layers": 3, "decoder_layers": 1, "activation_function": "relu"},
    "wide": {"d_model": 24, "encoder_attention_heads": 3, "decoder_attention_heads": 3,
             "encoder_ffn_dim": 20, "decoder_ffn_dim": 20, "activation_function": "gelu"},
    "unscaled": {"scale_embedding": False},
    "not tied": {"tie_word_embeddings": False},
}  # fmt: skip


def sentencepiece_model(seed):
    """A small SentencePiece model."""
    generator = torch.Generator().manual_seed(seed)
    picks = torch.randint(len(WORDS), (300, 6), generator=generator).tolist()
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([" ".join(WORDS[i] for i in row) for row in picks]),
        model_writer=written, vocab_size=35 + seed, minloglevel=2,
    )  # fmt: skip
    return written.getvalue()


def make_marian(folder, codes=(), **changes):
    """A folder as transformers saves it, with random weights; returns model and tokenizer."""
    folder.mkdir()
    pieces = []
    for name, seed in (("source.spm", 1), ("target.spm", 2)):
        (folder / name).write_bytes(sentencepiece_model(seed))
        processor = sentencepiece.SentencePieceProcessor(model_file=str(folder / name))
        pieces += [processor.id_to_piece(i) for i in range(3, processor.get_piece_size())]
    words = ["</s>", "<unk>", *dict.fromkeys(pieces), *(f">>{code}<<" for code in codes), "<pad>"]
    (folder / "vocab.json").write_text(json.dumps({w: i for i, w in enumerate(words)}))
    said = {"source_lang": "eng", "target_lang": "fra"}
    (folder / "tokenizer_config.json").write_text(json.dumps(said))
    pad = len(words) - 1
    values = {
        "d_model": 16, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2,
        "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32,
        "activation_function": "swish", "scale_embedding": True, "vocab_size": len(words),
        "pad_token_id": pad, "eos_token_id": 0, "decoder_start_token_id": pad,
        "forced_eos_token_id": 0, "max_position_embeddings": 64, "dropout": 0.1,
        "decoder_vocab_size": len(words), "share_encoder_decoder_embeddings": True,
    }  # fmt: skip
    torch.manual_seed(7)
    model = transformers.MarianMTModel(transformers.MarianConfig(**{**values, **changes})).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1 and parameter.requires_grad:
                parameter.normal_(std=0.3)
            elif parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.1)
        model.get_input_embeddings().weight[pad] = 0  # as converted models have it
        model.final_logits_bias.normal_()
        model.final_logits_bias[0, 0] += 2  # so that hypotheses end
    model.save_pretrained(folder)
    tokenizer = transformers.MarianTokenizer(
        *(str(folder / name) for name in ("source.spm", "target.spm", "vocab.json")),
        source_lang="eng", target_lang="fra",
    )  # fmt: skip
    return model, tokenizer


@pytest.fixture(scope="module", params=SHAPES)
def imported(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("marian")
    model, tokenizer = make_marian(folder / "theirs", **SHAPES[request.param])
    import_marian(str(folder / "theirs"), str(folder / "ours"))
    return folder / "ours", model, tokenizer


def target_log_probs(model, tokenizer, source, target):
    """log p of each target token and of </s>, by transformers."""
    read = tokenizer([source], return_tensors="pt")
    words = tokenizer(text_target=[target])["input_ids"][0]
    start = torch.tensor([[model.config.decoder_start_token_id, *words[:-1]]])
    with torch.no_grad():
        logits = model(**read, decoder_input_ids=start).logits[0]
    return torch.log_softmax(logits, dim=-1).gather(1, torch.tensor(words).unsqueeze(1)).flatten()


def test_the_probabilities_are_those_of_transformers(imported):
    import s2st

    ours, model, tokenizer = imported
    targets = ["a dog", "the bird walks", "blue tree", "a a a small house"]
    found = s2st.load(str(ours), threads=1).score(LINES, targets)
    for source, target, score in zip(LINES, targets, found, strict=True):
        expected = target_log_probs(model, tokenizer, source, target)
        assert score.token_log_probs == pytest.approx(expected.numpy(), abs=1e-4)


@pytest.mark.parametrize("beam", [1, 4])
def test_the_translations_are_those_of_transformers(imported, beam):
    """Where the rules are the same: sums of log-probabilities, no unknown words, no length limit.

    The rules differ at the limit, so translations of 30 tokens or more are left out.
    """
    import s2st

    ours, model, tokenizer = imported
    read = tokenizer(LINES, return_tensors="pt", padding=True)
    written = model.generate(
        **read, num_beams=beam, do_sample=False, max_new_tokens=40, length_penalty=0.0,
        early_stopping="never" if beam > 1 else False, forced_eos_token_id=None,
        bad_words_ids=[[model.config.pad_token_id], [tokenizer.unk_token_id]],
    )  # fmt: skip
    expected = tokenizer.batch_decode(written, skip_special_tokens=True)
    found = s2st.load(str(ours), threads=1).translate(
        LINES, beam=beam, max_len_a=0.0, max_len_b=40, unk=False
    )
    ended = [beam == 1 or 0 in row.tolist()[1:30] for row in written]
    for mine, theirs, end in zip(found, expected, ended, strict=True):
        assert not end or mine.split() == theirs.split()


def test_a_model_with_several_target_languages_reads_a_tag(tmp_path):
    import s2st

    model, tokenizer = make_marian(tmp_path / "theirs", codes=("fra", "spa", "deu"))
    import_marian(str(tmp_path / "theirs"), str(tmp_path / "ours"), "eng", ["fra", "deu"])
    for code in ("fra", "deu"):
        found = s2st.load(str(tmp_path / "ours"), target_lang=code, threads=1).score(
            LINES[:1], ["a dog"]
        )[0]
        expected = target_log_probs(model, tokenizer, f">>{code}<<{LINES[0]}", "a dog")
        assert found.token_log_probs == pytest.approx(expected.numpy(), abs=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: (f / "vocab.json").unlink(), "vocab.json"),
        (lambda f: (f / "vocab.json").write_text("[]"), "not a JSON object"),
        (lambda f: (f / "vocab.json").write_text('{"a": 1}'), "there is no <pad>"),
        (lambda f: (f / "source.spm").write_bytes(b"x"), "not a SentencePiece model"),
        (lambda f: (f / "model.safetensors").write_bytes(b"x"), "not readable weights"),
        (lambda f: (f / "model.safetensors").rename(f / "pytorch_model.bin"), "is pickled"),
        (lambda f: _set(f, model_type="bart"), "'bart', not 'marian'"),
        (lambda f: _set(f, normalize_before=True), "normalize_before is True"),
        (lambda f: _set(f, decoder_ffn_dim=4), "differ"),
        (lambda f: _set(f, activation_function="tanh"), "activation_function is 'tanh'"),
        (lambda f: _set(f, d_model=8), "do not fit the architecture"),
        (lambda f: _set(f, encoder_layers=1 << 40), "--layers is 1099511627776"),
        (lambda f: (f / "tokenizer_config.json").unlink(), "--source-lang"),
    ],
)
def test_a_folder_that_is_no_marian_model_is_one_clear_line(tmp_path, change, message):
    make_marian(tmp_path / "theirs")
    change(tmp_path / "theirs")
    with pytest.raises(S2STError, match=re.escape(message)):
        import_marian(str(tmp_path / "theirs"), str(tmp_path / "ours"))
    assert not (tmp_path / "ours").exists()


def _set(folder, **fields):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))
