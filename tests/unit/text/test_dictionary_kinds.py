"""Files of other kinds given as dictionaries: the error names their kind; dictionaries load."""

import gzip
import json

import pytest
import sentencepiece

from s2st.errors import DataError
from s2st.text.huggingface_tokenizer import train_byte_bpe
from s2st.text.tokenizers import HuggingFaceConfig
from s2st.text.vocabulary import Vocabulary

TEXT = ["the cat sat on the mat", "a dog ran to the old cat", "the end of a day in may"] * 4
WORDS = ["the", "cat", "sat", "mat", "dog", "ran", "old", "end", "day", "may"]


def joey() -> str:
    return "".join(f"{word}\n" for word in ["<unk>", "<pad>", "<s>", "</s>", *WORDS])


# each as the program that is named writes it
FOREIGN = {
    "OpenNMT-py": ("".join(f"{w}\t{9 - i}\n" for i, w in enumerate(WORDS)), "OpenNMT-py", "tabs"),
    "JoeyNMT": (joey(), "JoeyNMT", "delete the lines"),
    "OpenNMT-tf": ("<blank>\n" + joey().replace("<pad>\n", ""), "OpenNMT", "delete the lines"),
    "Marian": (
        "".join(f"{word}: {i}\n" for i, word in enumerate(["</s>", "<unk>", *WORDS])),
        "Marian",
        "token count",
    ),
    "Hugging Face": (
        json.dumps({word: i for i, word in enumerate(["<s>", "<pad>", *WORDS])}),
        "JSON",
        "token count",
    ),
    "codes": ("#version: 0.2\nt h\nth e</w>\n", "codes file of subword-nmt", "--bpe-codes"),
    "tokenizer.json": (
        train_byte_bpe(TEXT, HuggingFaceConfig(byte_bpe_vocab_size=5000), "en").decode(),
        "tokenizer.json of Hugging Face",
        "--tokenizer-json",
    ),
    "compact JSON": (json.dumps({"the": 1, "a": 2}, separators=(",", ":")), "JSON", "token count"),
    "indented JSON": (json.dumps({"the": 1, "a": 2}, indent=2), "JSON", "token count"),
    "JSON list": (json.dumps(WORDS, indent=0), "JSON", "token count"),
    "fairseq with overwriting": (
        "<pad> 0 #fairseq:overwrite\n" + "".join(f"{word} 5\n" for word in WORDS),
        "fairseq",
        "#fairseq:overwrite",
    ),
    "GIZA++": (
        "1 UNK 0\n" + "".join(f"{i} {word} 7\n" for i, word in enumerate(WORDS, start=2)),
        "GIZA++",
        "columns",
    ),
    "uniq -c": ("".join(f"{i:7d} {word}\n" for i, word in enumerate(WORDS)), "uniq -c", "first"),
    "word2vec": (
        f"{len(WORDS)} 4\n" + "".join(f"{word} 0.1 -0.25 1e-05 2\n" for word in WORDS),
        "word vectors",
        "--source-embeddings",
    ),
    "GloVe": ("".join(f"{word} 0.1 -0.25 0.5 2\n" for word in WORDS), "word vectors", "embeddings"),
    "text": ("".join(f"{line}\n" for line in TEXT), "like text, not", "--trainpref"),
    "parallel text": ("".join(f"{line}\t{line}\n" for line in TEXT), "parallel text", "--tsv"),
    "ARPA": ("\\data\\\nngram 1=3\n\n\\1-grams:\n-1\t<unk>\n", "ARPA", "--checkpoint"),
}  # fmt: skip


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("packed", [False, True])
def test_files_of_other_programs(tmp_path, name, packed):
    text, *parts = FOREIGN[name]
    path = tmp_path / ("vocab.gz" if packed else "vocab")
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    with pytest.raises(DataError) as caught:
        Vocabulary.load(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{path}, line ")
    assert "this looks like" in message
    for part in parts:
        assert part in message


@pytest.mark.parametrize("kind", ["unigram", "bpe", "char", "word"])
def test_files_of_sentencepiece(tmp_path, kind):
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXT), model_prefix=str(tmp_path / "m"), vocab_size=24,
        model_type=kind, hard_vocab_limit=False, minloglevel=3,
    )  # fmt: skip
    for name, kind in (("m.model", "a SentencePiece model"), ("m.vocab", "a SentencePiece .vocab")):
        with pytest.raises(DataError) as caught:
            Vocabulary.load(tmp_path / name)
        message = str(caught.value)
        assert message.startswith(f"{tmp_path / name}, line ")
        assert f"this looks like {kind}" in message
        assert "--target-sentencepiece" in message
    assert "the word '<unk>\\t0'" in message
    assert f"give {tmp_path / 'm.model'} to" in message
    (tmp_path / "m.model").unlink()
    with pytest.raises(DataError, match=r"give its \.model file"):
        Vocabulary.load(tmp_path / "m.vocab")


GENUINE = {
    "s2st": "the 9\na 3\n",
    "fairseq": "".join(f"{word} 5\n" for word in WORDS) + "madeupword0000 0\n",
    "words alone": "".join(f"{word}\n" for word in WORDS),
    "subword-nmt": "the@@ 9\ncat 3\n",
    "numbers": "".join(f"{year} 1\n" for year in range(1990, 2020)),
    "brackets": "[ 9\n{ 5\n] 4\n} 3\n",
    "bracketed words": "[MASK] 4\n{x} 3\n",
    "colons": "a: 9\nb: 3\n: 1\n",
    "pieces": "\u2581the 4\n\u2581 3\ns 0\n",
    "blanks that are not ASCII": "a\u00a0b 4\n\u3000 3\n",
}


@pytest.mark.parametrize("name", GENUINE)
@pytest.mark.parametrize("broken", [False, True])
def test_dictionaries_are_not_taken_for_other_files(tmp_path, name, broken):
    text = GENUINE[name]
    path = tmp_path / "dict.txt"
    path.write_text(text + ("New York 5\n" if broken else ""), "utf-8")
    if not broken:
        assert len(Vocabulary.load(path)) == 4 + text.count("\n")
        return
    with pytest.raises(DataError, match="the word 'New York' contains white space") as caught:
        Vocabulary.load(path)
    assert "looks like" not in str(caught.value)
    assert caught.value.line == text.count("\n") + 1


@pytest.mark.parametrize("space", ["\t", "\r", "\f", "\v", " "])
@pytest.mark.parametrize("form", ["a{}b 3", "{}a 3", "a{} 3", "{} 3"])
def test_no_word_has_ascii_white_space(tmp_path, space, form):
    path = tmp_path / "dict.txt"
    path.write_bytes(f"the 5\n{form.format(space)}\nz 1\n".encode())
    with pytest.raises(DataError, match="expected `token count`") as caught:
        Vocabulary.load(path)
    assert caught.value.line == 2
