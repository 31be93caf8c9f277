"""SentencePiece on the command line: the vocabulary is that of the model; errors are clear."""

from pathlib import Path

import pytest
import sentencepiece
from options_of import replaced

from s2st.data.store import Store
from s2st.errors import DataError
from s2st.text.sentencepiece_training import train_sentencepiece
from s2st.text.tokenizer_files import recorded_config
from s2st.text.tokenizers import SentencePieceConfig, TokenizerSpec
from s2st.text.vocabulary import SPECIALS, UNK_ID

NOUNS, VERBS = ("고양이", "강아지", "토끼", "호랑이", "여우"), ("잔다", "뛴다", "먹는다", "운다")
KOREAN = [
    f"{noun}가 {place}에서 {verb}." for noun in NOUNS for verb in VERBS for place in "집산강숲"
]
ENGLISH = [f"The {a} {b} {c}s." for a in ("old", "new") for b in ["cat", "dog", "fox", "bird"]
           for c in ["run", "sleep", "eat", "jump", "swim"]] * 2  # fmt: skip
RARE = "龘 麤 鱻"  # characters seen once
KINDS = ("unigram", "bpe", "char", "word")


def write(folder: Path, name: str, source: list[str], target: list[str]) -> Path:
    for language, lines in (("en", source), ("ko", target)):
        (folder / f"{name}.{language}").write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return folder / name


def pieces_of(model: bytes) -> set[str]:
    """The pieces that text can consist of, as the library lists them."""
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    everything = range(processor.get_piece_size())
    no_text = {"<unk>", "<s>", "</s>"}
    return {processor.id_to_piece(i) for i in everything} - no_text


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    return write(tmp_path, "train", [*ENGLISH, "rare"], [*KOREAN, RARE])


@pytest.fixture
def prepare(s2st, tmp_path: Path):
    """Runs preprocess en to ko with SentencePiece into tmp_path / data."""

    def run(prefix: Path, *options: object):
        if "--tokenizer" not in options:
            options = ("--tokenizer", "sentencepiece", *options)
        return s2st(
            "preprocess", "-s", "en", "-t", "ko", "--trainpref", prefix, "--destdir",
            tmp_path / "data", *options,
        )  # fmt: skip

    return run


@pytest.mark.parametrize("kind", KINDS)
def test_the_vocabulary_is_that_of_the_model(prepare, texts, tmp_path, kind, capfd):
    options = ["--sentencepiece-vocab-size", 80, "--sentencepiece-coverage", 0.98]
    outcome = prepare(texts, "--sentencepiece-model-type", kind, *options, "--validpref", texts)
    assert outcome.code == 0, outcome.err
    assert "trainer_interface" not in outcome.err + "".join(capfd.readouterr())
    store = Store(tmp_path / "data")
    for vocabulary, spec in (
        (store.source_vocabulary, store.source_tokenizer),
        (store.target_vocabulary, store.target_tokenizer),
    ):
        own = pieces_of(spec.model)
        assert set(vocabulary.tokens[len(SPECIALS) :]) == own
        assert len(own) <= 80 - 3
        assert list(vocabulary.counts[4:]) == sorted(vocabulary.counts[4:], reverse=True)
    tokens = store.target_tokenizer.build().encode(RARE)
    for split in ("train", "valid"):  # what the model lacks is unknown, whatever was trained on
        ids = store.split(split).target[len(KOREAN)].tolist()
        known = set(store.target_vocabulary.tokens)
        assert [i == UNK_ID for i in ids] == [token not in known for token in tokens]
        assert UNK_ID in ids
    assert store.target_tokenizer.build().decode(tokens) == RARE
    found = store.split("train").target.ids
    counts = dict.fromkeys(store.target_vocabulary.tokens, 0)
    for i in found.tolist():
        counts[store.target_vocabulary.tokens[i]] += 1
    assert [counts[token] for token in store.target_vocabulary.tokens[4:]] == list(
        store.target_vocabulary.counts[4:]
    )


def test_a_model_that_is_given_brings_its_vocabulary(prepare, texts, tmp_path):
    config = SentencePieceConfig(sentencepiece_vocab_size=60)
    model = tmp_path / "m.model"
    model.write_bytes(train_sentencepiece([*ENGLISH, *KOREAN], config))
    given = ["--source-sentencepiece", model, "--target-sentencepiece", model]
    outcome = prepare(texts, *given)
    assert outcome.code == 0, outcome.err
    store = Store(tmp_path / "data")
    own = pieces_of(model.read_bytes())
    assert set(store.source_vocabulary.tokens[4:]) == own
    assert set(store.target_vocabulary.tokens[4:]) == own


@pytest.mark.parametrize("given", [[], ["--source-sentencepiece"], ["--target-sentencepiece"]])
def test_a_joined_dictionary_has_the_pieces_of_one_model(prepare, texts, tmp_path, given):
    model = tmp_path / "m.model"
    config = SentencePieceConfig(sentencepiece_vocab_size=90)
    model.write_bytes(train_sentencepiece([*ENGLISH, *KOREAN], config))
    options = [given[0], model] if given else ["--sentencepiece-vocab-size", 90]
    outcome = prepare(texts, "--joined-dictionary", *options)
    assert outcome.code == 0, outcome.err
    store = Store(tmp_path / "data")
    assert store.source_vocabulary == store.target_vocabulary
    assert store.source_tokenizer.model == store.target_tokenizer.model
    assert set(store.source_vocabulary.tokens[4:]) == pieces_of(store.source_tokenizer.model)


def test_a_joined_dictionary_of_two_models_is_refused(prepare, texts, tmp_path):
    options = []
    for side, lines in (("source", ENGLISH), ("target", KOREAN)):
        config = SentencePieceConfig(sentencepiece_vocab_size=60)
        (tmp_path / side).write_bytes(train_sentencepiece(lines, config))
        options += [f"--{side}-sentencepiece", tmp_path / side]
    outcome = prepare(texts, "--joined-dictionary", *options)
    outcome.check_error(2, "--joined-dictionary needs one SentencePiece model")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--nwordssrc", "50"], ["--nwordssrc", "--sentencepiece-vocab-size"]),
        (["--nwordstgt", "0"], ["--nwordstgt", "--sentencepiece-vocab-size"]),
        (["--thresholdtgt", "2"], ["--thresholdtgt", "--sentencepiece-vocab-size"]),
        (["--sentencepiece-coverage", "0.5"], ["--sentencepiece-coverage", "0.98"]),
        (["--sentencepiece-coverage", "1.5"], ["--sentencepiece-coverage", "1"]),
        (["--sentencepiece-coverage", "nan"], ["--sentencepiece-coverage"]),
        (["--sentencepiece-vocab-size", str(2**31 - 1)], ["--sentencepiece-vocab-size"]),
        (["--sentencepiece-vocab-size", str(2**63 - 1)], ["--sentencepiece-vocab-size"]),
        (["--sentencepiece-model-type", "wordpiece"], ["--sentencepiece-model-type"]),
        (["--tokenizer", "moses", "--source-sentencepiece", "m"], ["--source-sentencepiece"]),
        (["--tokenizer", "none", "--target-sentencepiece", "m"], ["--target-sentencepiece"]),
    ],
)
def test_options_that_do_not_fit_sentencepiece(prepare, texts, tmp_path, options, parts):
    prepare(texts, *options).check_error(2, *parts)
    assert not (tmp_path / "data").exists()


# what the library reports, in terms of s2st

LONG = "a b " * 1100


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("lines", "size", "code", "parts"),
    [
        ([], 100, 65, ["no text to train SentencePiece on"]),
        (["", " \t "], 100, 65, ["no text to train SentencePiece on"]),
        (["\u200b", "\u200b\u200b"], 100, 65, ["no text to train SentencePiece on"]),
        ([LONG, LONG], 100, 65, ["no text to train SentencePiece on"]),
        (["\u2585 a"], 100, 65, ["no text to train SentencePiece on"]),
        (KOREAN, 8, 2, ["--sentencepiece-vocab-size 8", "ko", "--sentencepiece-coverage"]),
    ],
)
def test_text_that_sentencepiece_cannot_train_on(
    prepare, tmp_path, kind, lines, size, code, parts, capfd
):
    prefix = write(tmp_path, "t", ["word"] * len(lines), lines)
    options = ["--sentencepiece-vocab-size", size, "--sentencepiece-model-type", kind]
    outcome = prepare(prefix, *options)
    printed = outcome.err + "".join(capfd.readouterr())
    assert not [word for word in ("src/", "INTERNAL", "flag", "log messages") if word in printed]
    if code == 2 and kind in ("char", "word"):  # these leave out what does not fit
        assert outcome.code == 0, outcome.err
        return
    outcome.check_error(code, *parts)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_fewer_pieces_than_asked_for_and_lines_left_out_are_told(prepare, tmp_path, kind, capfd):
    target = [*KOREAN, LONG, "\u2585 \u2585", LONG]
    prefix = write(tmp_path, "t", (ENGLISH * 2)[: len(target)], target)
    options = ["--sentencepiece-vocab-size", 7000, "--sentencepiece-model-type", kind]
    outcome = prepare(prefix, *options, "--max-length", 3000)
    assert outcome.code == 0, outcome.err
    assert capfd.readouterr().err == ""
    (fewer,) = [line for line in outcome.err.splitlines() if "ko" in line and "7000" in line]
    store = Store(tmp_path / "data")
    made = len(pieces_of(store.target_tokenizer.model)) + 3
    assert f"{made:,} pieces, not --sentencepiece-vocab-size 7000" in fewer
    (left,) = [line for line in outcome.err.splitlines() if "skipped lines" in line]
    for part in ("ko:", "2 of more than 4,192 bytes", "1 with"):
        assert part in left
    assert "a" not in pieces_of(store.target_tokenizer.model)  # only the long lines had it


def test_lines_are_long_by_bytes():
    lines = ["가" * 1397 + "a", "가" * 1397 + "ab"]  # 4,192 and 4,193 bytes
    config = SentencePieceConfig(sentencepiece_vocab_size=8, sentencepiece_model_type="char")
    assert "a" in pieces_of(train_sentencepiece([lines[0], "가나다라"], config))
    assert "a" not in pieces_of(train_sentencepiece([lines[1], "가나다라"], config))


def test_what_reading_the_text_raises_is_not_said_of_sentencepiece(prepare, tmp_path):
    prefix = write(tmp_path, "t", ENGLISH, KOREAN[: len(ENGLISH)])
    lines = (tmp_path / "t.ko").read_bytes().split(b"\n")
    lines[6] = b"\xff\xfe"
    (tmp_path / "t.ko").write_bytes(b"\n".join(lines))
    prepare(prefix, "--sentencepiece-vocab-size", 80).check_error(65, "t.ko, line 7", "UTF-8")

    class Stop(BaseException):
        pass

    for kind in (Stop, KeyboardInterrupt, DataError):

        def broken(kind=kind):
            yield from KOREAN
            raise kind("stop")

        with pytest.raises(kind):
            train_sentencepiece(broken(), SentencePieceConfig(sentencepiece_vocab_size=80))


# stores and checkpoints of earlier versions


def test_dictionaries_with_words_that_no_piece_is_still_load(prepare, texts, tmp_path, s2st, tiny):
    assert prepare(texts, "--sentencepiece-vocab-size", 80).code == 0
    old, model = tmp_path / "old", tmp_path / "data" / "sentencepiece.ko.model"
    (tmp_path / "d.txt").write_text(
        (tmp_path / "data" / "dict.ko.txt").read_text("utf-8") + "一 1\n丁 1\n", "utf-8"
    )
    made = s2st(  # as earlier versions made stores
        "preprocess", "-s", "en", "-t", "ko", "--trainpref", texts, "--validpref", texts,
        "--srcdict", tmp_path / "data", "--tgtdict", tmp_path / "d.txt", "--tokenizer",
        "sentencepiece", "--target-sentencepiece", model, "--destdir", old,
    )  # fmt: skip
    assert made.code == 0, made.err
    assert "d.txt: 2 of its" in made.err
    assert "一" in Store(old).target_vocabulary
    again = s2st(
        "preprocess", "-s", "en", "-t", "ko", "--testpref", texts, "--srcdict", old,
        "--tgtdict", old, "--destdir", tmp_path / "new",
    )  # fmt: skip
    assert again.code == 0, again.err
    assert Store(tmp_path / "new").target_vocabulary == Store(old).target_vocabulary
    trained = s2st("train", old, *replaced(tiny, "--max-epoch", 1), "--save-dir", tmp_path / "m")
    assert trained.code == 0, trained.err
    best = tmp_path / "m" / "checkpoint_best"
    outcome = s2st("generate", "--checkpoint", best, "--max-len-b", 4, stdin=b"The old cat.\n")
    assert outcome.code == 0, outcome.err


def test_records_beyond_the_limits_of_today_still_load():
    record = {"lowercase": True, "sentencepiece_vocab_size": 5, "sentencepiece_coverage": 0.5}
    config = recorded_config("sentencepiece", record, "here")
    assert config == SentencePieceConfig(lowercase=True)


def test_a_side_with_a_dictionary_and_a_model_of_its_own(prepare, texts, tmp_path):
    assert prepare(texts, "--sentencepiece-vocab-size", 80).code == 0
    (tmp_path / "data").rename(tmp_path / "first")
    model = tmp_path / "first" / "sentencepiece.en.model"
    options = ["--srcdict", tmp_path / "first", "--source-sentencepiece", model]
    prepare(texts, *options).check_error(2, "--source-sentencepiece", "--srcdict")


def test_pieces_with_white_space_are_written_with_the_sign_of_a_blank(tmp_path):
    import io

    output = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["a\tb c", "b\ta c"] * 5), model_writer=output, vocab_size=12,
        hard_vocab_limit=False, user_defined_symbols=["\t"], normalization_rule_name="identity",
        minloglevel=3,
    )  # fmt: skip
    config = SentencePieceConfig()
    tokenizer = TokenizerSpec("sentencepiece", config, "en", output.getvalue()).build()
    assert "\t" not in "".join(tokenizer.pieces())
    assert tokenizer.decode(tokenizer.encode("a\tb c")) == "a b c"


def test_a_vocab_file_as_dictionary(prepare, s2st, texts, tmp_path):
    """The file that `spm_train` writes beside the model; every word in it had a tab."""
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(KOREAN), model_prefix=str(tmp_path / "m"), vocab_size=60,
        hard_vocab_limit=False, minloglevel=3,
    )  # fmt: skip
    outcome = prepare(texts, "--tgtdict", tmp_path / "m.vocab", "--sentencepiece-vocab-size", 90)
    outcome.check_error(65, "m.vocab, line 1", "SentencePiece .vocab", "m.model")
    assert not (tmp_path / "data").exists()
    right = prepare(texts, "--target-sentencepiece", tmp_path / "m.model", "--source-sentencepiece",
                    tmp_path / "m.model")  # fmt: skip
    assert right.code == 0, right.err
