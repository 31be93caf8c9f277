"""GPT-2 models of Hugging Face as checkpoints: equal to the package transformers."""

import json

import pytest
import torch

from s2st.errors import S2STError
from s2st.jobs.import_model import import_gpt2

transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")

TEXT = ["the moon is over the sea", "love, love me do!", "하늘과 바람과 별과 시", "a  b"]
END = "<|endoftext|>"
SHAPES = {
    "small": {},
    "narrow": {"n_embd": 12, "n_head": 3, "n_inner": 20, "n_layer": 1},
    "exact gelu": {"activation_function": "gelu"},
    "not tied": {"tie_word_embeddings": False},
}


def make_gpt2(folder, files=("tokenizer.json",), **changes):
    """A folder as transformers saves it, with random weights; returns model and tokenizer."""
    folder.mkdir()
    trained = tokenizers.ByteLevelBPETokenizer()
    trained.train_from_iterator(TEXT * 3, vocab_size=300, special_tokens=[END], show_progress=False)
    if "tokenizer.json" in files:
        trained.save(str(folder / "tokenizer.json"))
    else:
        trained.save_model(str(folder))
    words = trained.get_vocab_size()
    end = trained.token_to_id(END)
    values = {
        "n_embd": 16, "n_head": 2, "n_layer": 2, "n_positions": 64, "vocab_size": words,
        "bos_token_id": end, "eos_token_id": end,
    }  # fmt: skip
    torch.manual_seed(5)
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config(**{**values, **changes})).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    model.save_pretrained(folder)
    return model, trained, end


@pytest.fixture(scope="module", params=SHAPES)
def imported(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("gpt2")
    model, trained, end = make_gpt2(folder / "theirs", **SHAPES[request.param])
    import_gpt2(str(folder / "theirs"), str(folder / "ours"))
    return folder / "ours", model, trained, end


def test_the_probabilities_are_those_of_transformers(imported):
    import s2st

    ours, model, trained, end = imported
    found = s2st.load(str(ours), threads=1).score(None, TEXT)
    for line, score in zip(TEXT, found, strict=True):
        ids = [end, *trained.encode(line).ids, end]
        with torch.no_grad():
            logits = model(torch.tensor([ids[:-1]])).logits[0]
        expected = torch.log_softmax(logits, dim=-1).gather(1, torch.tensor(ids[1:])[:, None])
        assert score.token_log_probs == pytest.approx(expected.flatten().numpy(), abs=1e-4)


def test_it_continues_text_as_transformers_does(imported):
    import s2st

    ours, model, trained, end = imported
    prompt = "the moon"
    ids = torch.tensor([[end, *trained.encode(prompt).ids]])
    written = model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=8, do_sample=False,
        pad_token_id=end, eos_token_id=end,
    )[0].tolist()  # fmt: skip
    words = written[1:]
    words = words[: words.index(end)] if end in words else words
    continued = s2st.load(str(ours), threads=1).translate(
        [prompt], beam=1, max_len_a=0.0, max_len_b=8
    )[0]
    assert continued.split() == trained.decode(words).split()


def test_two_files_are_the_same_tokenizer(tmp_path):
    import s2st

    make_gpt2(tmp_path / "one")
    make_gpt2(tmp_path / "two", files=("vocab.json", "merges.txt"))
    scores = []
    for name in ("one", "two"):
        import_gpt2(str(tmp_path / name), str(tmp_path / f"{name}.s2st"))
        found = s2st.load(str(tmp_path / f"{name}.s2st"), threads=1).score(None, TEXT[:2])
        scores.append([score.log_prob for score in found])
    assert scores[0] == pytest.approx(scores[1])


def test_a_longer_text_than_the_positions_is_one_clear_line(tmp_path):
    import s2st

    make_gpt2(tmp_path / "theirs", n_positions=8)
    import_gpt2(str(tmp_path / "theirs"), str(tmp_path / "ours"))
    model = s2st.load(str(tmp_path / "ours"), threads=1)
    with pytest.raises(S2STError, match="more than 8 tokens"):
        model.score(None, ["the moon is over the sea and over the land"])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model_type": "bert"}, "'bert', not 'gpt2'"),
        ({"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx"),
        ({"activation_function": "tanh"}, "'tanh'"),
        ({"n_layer": "2"}, "not a whole number"),
        ({"n_embd": 8}, "do not fit the architecture"),
    ],
)
def test_a_folder_that_is_no_gpt2_model_is_one_clear_line(tmp_path, fields, message):
    make_gpt2(tmp_path / "theirs")
    path = tmp_path / "theirs" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))
    with pytest.raises(S2STError, match=message):
        import_gpt2(str(tmp_path / "theirs"), str(tmp_path / "ours"))
    assert not (tmp_path / "ours").exists()


def test_the_next_pieces_are_those_of_transformers(imported):
    import s2st

    ours, model, trained, end = imported
    with torch.no_grad():
        logits = model(torch.tensor([[end, *trained.encode("the moon").ids]])).logits[0, -1]
    expected = torch.log_softmax(logits, dim=-1).topk(5)
    found = s2st.load(str(ours), threads=1).next_words("the moon", n=5)
    assert found.log_probs == pytest.approx(expected.values.numpy(), abs=1e-4)
    ends = {trained.id_to_token(end): "</s>"}
    pieces = [trained.id_to_token(i) for i in expected.indices.tolist()]
    assert list(found.tokens) == [ends.get(piece, piece) for piece in pieces]
