"""Language models, right-to-left models and channel models on the command line."""

import json

import pytest
from options_of import replaced

from s2st.data.store import Store
from s2st.demo_corpus import read_corpus
from s2st.text.nbest_lists import read_nbest

LISTS = [
    (0, "le chat dort .", -4.0),
    (0, "le chat", -3.0),
    (0, "chat chat", -9.0),
    (1, "un homme lit .", -2.0),
]
SOURCES = ["the cat sleeps .", "a man reads ."]


@pytest.fixture(scope="module")
def made(tmp_path_factory, world, s2st, tiny):
    """Folders of models trained on French alone, from right to left, and French to English."""
    folder = tmp_path_factory.mktemp("directions")
    corpus = read_corpus(200, 20, 20)
    for part in ("train", "valid"):
        pairs = getattr(corpus, part)
        (folder / f"{part}.fr").write_text("".join(f"{pair.target}\n" for pair in pairs))
        (folder / f"{part}.en").write_text("".join(f"{pair.source}\n" for pair in pairs))
    texts = ["--trainpref", folder / "train", "--validpref", folder / "valid"]
    made = s2st(
        "preprocess", "-t", "fr", "--only-target", *texts, "--destdir", folder / "bin-fr",
        "--tgtdict", world.store,
    )  # fmt: skip
    assert made.code == 0, made.err
    assert "en:" not in made.err
    back = ["-s", "fr", "-t", "en", *texts, "--destdir", folder / "bin-back"]
    assert s2st("preprocess", *back).code == 0
    for name, store, options in (
        ("lm", folder / "bin-fr", ["--arch", "lstm-lm"]),
        ("lm-parallel", world.store, ["--arch", "lstm-lm"]),
        ("r2l", world.store, ["--arch", "lstm-attention", "--reverse-target"]),
        ("back", folder / "bin-back", ["--arch", "gru"]),
    ):
        assert s2st("train", store, *tiny, *options, "--save-dir", folder / name).code == 0
    return {
        name: folder / name / "checkpoint_best" for name in ("lm", "lm-parallel", "r2l", "back")
    }


@pytest.fixture
def files(tmp_path):
    (tmp_path / "src").write_text("".join(line + "\n" for line in SOURCES))
    (tmp_path / "list").write_text(
        "".join(f"{i} ||| {h} ||| LM0= -1 ||| {t}\n" for i, h, t in LISTS)
    )
    (tmp_path / "hyps").write_text("".join(h + "\n" for _, h, _ in LISTS))
    (tmp_path / "theirs").write_text("".join(SOURCES[i] + "\n" for i, _, _ in LISTS))
    return tmp_path


def log_probs(s2st, *arguments):
    outcome = s2st("score", *arguments, "--format", "json")
    assert outcome.code == 0, outcome.err
    return [json.loads(line)["log_prob"] for line in outcome.lines]


def test_a_language_model_is_scored_without_a_source(s2st, made, files):
    """Each pair is the sum of its tokens', and the perplexity is theirs."""
    own = s2st("score", "--checkpoint", made["lm"], "--target", files / "hyps", "--format", "json")
    rows = [json.loads(line) for line in own.lines]
    assert [row["tokens"] for row in rows] == [[*h.split(), "</s>"] for _, h, _ in LISTS]
    for row in rows:
        assert row["log_prob"] == pytest.approx(sum(row["token_log_probs"]))
        assert len(row["token_log_probs"]) == len(row["tokens"])
    assert f"{len(rows)} lines, " in own.err
    assert "perplexity" in own.err
    pairs = ["--source", files / "theirs", "--target", files / "hyps"]
    with_source = log_probs(s2st, "--checkpoint", made["lm"], *pairs)
    assert with_source == [row["log_prob"] for row in rows]


def test_a_translation_model_is_not_scored_without_a_source(s2st, world, files):
    outcome = s2st("score", "--checkpoint", world.forward, "--target", files / "hyps")
    outcome.check_error(2, "--source")


@pytest.mark.parametrize("search", [["--beam", "3"], ["--search", "sampling", "--top-k", "5"]])
def test_a_language_model_continues_prompts(s2st, made, files, search):
    prompts = ["le chat", "", "un homme lit"]
    text = "".join(f"{prompt}\n" for prompt in prompts).encode()
    outcome = s2st("generate", "--checkpoint", made["lm"], *search, "--format", "json", stdin=text)
    assert outcome.code == 0, outcome.err
    made_lines = [json.loads(line)["hypotheses"][0] for line in outcome.lines]
    assert len(made_lines) == len(prompts)
    for prompt, hypothesis in zip(prompts, made_lines, strict=True):
        assert hypothesis["text"].split()[: len(prompt.split())] == prompt.split()
        assert len(hypothesis["text"].split()) <= len(prompt.split()) + 10
    (files / "texts").write_text("".join(h["text"] + "\n" for h in made_lines))
    assert "chat" in made_lines[0]["text"]  # though the model does not know the word
    again = log_probs(s2st, "--checkpoint", made["lm"], "--target", files / "texts")
    assert again == pytest.approx([h["log_prob"] for h in made_lines], abs=1e-4)


def test_a_language_model_of_a_parallel_store_reads_no_source_either(s2st, made, files):
    outcome = s2st("inspect", made["lm-parallel"])
    assert "nothing" in outcome.out
    assert log_probs(s2st, "--checkpoint", made["lm-parallel"], "--target", files / "hyps")


def test_a_weighted_language_model_in_an_ensemble(s2st, made, world, files):
    named = ["--checkpoint", world.forward, "--checkpoint", made["lm"]]
    weights = ["--ensemble-weight", "0.8", "--ensemble-weight", "0.2"]
    out = files / "out.jsonl"
    outcome = s2st("generate", *named, *weights, "--format", "json", "-o", out, files / "src")
    assert outcome.code == 0, outcome.err
    best = [json.loads(line)["hypotheses"][0] for line in out.read_text().splitlines()]
    (files / "texts").write_text("".join(h["text"] + "\n" for h in best))
    pairs = ["--source", files / "src", "--target", files / "texts"]
    again = log_probs(s2st, *named, *weights, *pairs)
    assert again == pytest.approx([h["log_prob"] for h in best], abs=1e-4)


def test_right_to_left_text_goes_in_and_out_as_ever(s2st, made, files):
    """What the search finds has the score that `score` gives its text, word by word."""
    outcome = s2st("generate", "--checkpoint", made["r2l"], "--format", "json", files / "src")
    best = [json.loads(line)["hypotheses"][0] for line in outcome.lines]
    (files / "texts").write_text("".join(h["text"] + "\n" for h in best))
    pairs = ["--source", files / "src", "--target", files / "texts"]
    scored = s2st("score", "--checkpoint", made["r2l"], *pairs, "--format", "json")
    for hypothesis, line in zip(best, scored.lines, strict=True):
        row = json.loads(line)
        assert row["tokens"][:-1] == hypothesis["text"].split()
        found = pytest.approx(hypothesis["token_log_probs"], abs=1e-4)
        assert row["token_log_probs"] == found


def test_all_features_together(s2st, made, world, files):
    """Direct, right to left, language model, channel and length, each as `score` has it."""
    members = [world.forward, made["r2l"], made["lm"]]
    named = [word for path in members for word in ("--checkpoint", path)]
    more = ["--feature-per", "member", "--channel-checkpoint", made["back"], "--length-feature"]
    lists = ["rescore-nbest", files / "list", "--source", files / "src"]
    outcome = s2st(*lists, *named, *more, "--format", "nbest")
    assert outcome.code == 0, outcome.err
    entries = {
        (e.id, e.hypothesis): dict(e.features) for g in read_nbest(outcome.lines, "x") for e in g
    }
    pairs = ["--source", files / "theirs", "--target", files / "hyps"]
    columns = {f"S2ST{k}": log_probs(s2st, "--checkpoint", path, *pairs)
               for k, path in enumerate(members)}  # fmt: skip
    swapped = ["--source", files / "hyps", "--target", files / "theirs"]
    columns["S2STChannel0"] = log_probs(s2st, "--checkpoint", made["back"], *swapped)
    for row, (i, words, _) in enumerate(LISTS):
        own = entries[i, words]
        assert own["S2STLength"] == (len(words.split()),)
        for name, column in columns.items():
            assert own[name][0] == pytest.approx(column[row], rel=1e-4), name
    (files / "scored").write_text(outcome.out)
    again = ["rescore-nbest", files / "scored", "--source", files / "src"]
    weights = ["--weight", "S2STChannel0=2", "--weight", "S2ST2=-1"]
    totals = [2 * c - m for c, m in zip(columns["S2STChannel0"], columns["S2ST2"], strict=True)]
    first = max(range(3), key=lambda row: totals[row])
    assert s2st(*again, *weights).lines == [LISTS[first][1], LISTS[3][1]]


def test_a_channel_model_of_the_wrong_direction_is_refused(s2st, world, made, files):
    lists = ["rescore-nbest", files / "list", "--source", files / "src"]
    outcome = s2st(*lists, "--checkpoint", world.forward, "--channel-checkpoint", world.gru)
    outcome.check_error(2, "--channel-checkpoint", "other direction")
    outcome = s2st(*lists, "--checkpoint", world.forward, "--channel-checkpoint", made["lm"])
    outcome.check_error(2, "reads no source")


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["-s", "en"], "--source-lang"),
        (["--joined-dictionary"], "join"),
        (["--thresholdsrc", "2"], "no source vocabulary"),
    ],
)
def test_only_target_cannot_be_combined_with_source_options(s2st, tmp_path, options, part):
    command = [
        "preprocess",
        "--only-target",
        "-t",
        "fr",
        "--trainpref",
        "x",
        "--destdir",
        tmp_path / "b",
    ]
    s2st(*command, *options).check_error(2, part)


def test_a_language_model_first_hides_no_misfit_of_the_others(s2st, made, world, files):
    """Each pair of translation models must read the same language."""
    members = [made["lm"], world.forward, made["back"]]
    for order in (members, members[::-1], [members[1], members[0], members[2]]):
        named = [word for path in order for word in ("--checkpoint", path)]
        outcome = s2st("generate", *named, files / "src")
        outcome.check_error(2, "language")


def test_attention_is_that_of_the_members_that_read_a_source(s2st, made, files):
    """A language model beside it, whatever its weight, changes no alignment of the same words."""
    alone, beside = files / "alone", files / "beside"
    own = ["--checkpoint", made["r2l"], "--replace-unk", "--beam", "1"]
    assert s2st("generate", *own, "--alignments", alone, files / "src").code == 0
    assert len(alone.read_text().splitlines()) == len(SOURCES)
    refused = s2st("generate", "--checkpoint", made["lm"], "--alignments", beside, files / "src")
    refused.check_error(2, "needs a model with a source")
    exhaustive = ["--search", "exhaustive", "--alignments", beside]
    refused = s2st("generate", *own[:2], *exhaustive, files / "src")
    refused.check_error(2, "needs a search that gives attention")


def test_every_feature_warns_of_text_that_its_model_does_not_know(s2st, made, world, files):
    """The first model knows the words, the channel model is of another language."""
    lists = ["rescore-nbest", files / "list", "--source", files / "src"]
    outcome = s2st(*lists, "--channel-checkpoint", world.forward)
    assert "unknown to the model" in outcome.err
    both = s2st(*lists, "--checkpoint", world.forward, "--channel-checkpoint", made["back"])
    assert "(S2STChannel0)" in both.err or "unknown" not in both.err


NASTY = [
    "It's  5 o'clock, \"Tom\" & <b>co</b> | [x] ",
    "&apos;quoted&apos; &amp; www.x.org/?a=1",
    "\tL'\u00c9T\u00c9\u00a0: 3,5 %\u2026 \ufb01n \u2460 \u4e2d\u6587 \ud55c\uae00 \u2581 x",
    "   ",
    "",
    "9' x 12' vs.",
    "\u2028\u0085 e\u0301",
]


@pytest.mark.parametrize(
    "tokenizer",
    [
        ["none"],
        ["none", "--lowercase"],
        ["moses"],
        ["moses", "--lowercase"],
        ["sentencepiece", "--sentencepiece-vocab-size", "60"],
        ["subword-nmt", "--bpe-merges", "40"],
        ["huggingface", "--byte-bpe-vocab-size", "300"],
        ["characters"],
    ],
    ids=" ".join,
)
def test_a_prompt_comes_back_byte_for_byte(s2st, tiny, tmp_path, tokenizer):
    lines = [pair.target for pair in read_corpus(60, 5, 5).train]
    for part in ("train", "valid"):
        (tmp_path / f"{part}.fr").write_text("".join(f"{line}\n" for line in lines))
    texts = ["--trainpref", tmp_path / "train", "--validpref", tmp_path / "valid"]
    store = ["--destdir", tmp_path / "bin", "--tokenizer", *tokenizer]
    assert s2st("preprocess", "-t", "fr", "--only-target", *texts, *store).code == 0
    train = ["train", tmp_path / "bin", *replaced(tiny, "--max-epoch", 1), "--arch", "lstm-lm"]
    assert s2st(*train, "--save-dir", tmp_path / "lm").code == 0
    own = ["--checkpoint", tmp_path / "lm" / "checkpoint_best", "--max-len-b", 6]
    prompts = "".join(f"{line}\n" for line in NASTY).encode()
    outcome = s2st("generate", *own, stdin=prompts)
    assert outcome.code == 0, outcome.err
    assert len(outcome.lines) == len(NASTY)
    for prompt, line in zip(NASTY, outcome.lines, strict=True):
        assert line.startswith(prompt)
    listed = s2st("generate", *own, "--format", "json", "--nbest", 3, stdin=prompts)
    for prompt, line in zip(NASTY, listed.lines, strict=True):
        assert all(h["text"].startswith(prompt) for h in json.loads(line)["hypotheses"])
    tokens = Store(tmp_path / "bin").target_tokenizer.build()
    for options in (["--no-detokenize"], ["--format", "moses"]):
        outcome = s2st("generate", *own, *options, stdin=prompts)
        assert outcome.code == 0, outcome.err
        if options[0] == "--no-detokenize" or not tokens.subword:
            found = outcome.lines
            if options[0] == "--format":
                found = [group[0].hypothesis for group in read_nbest(outcome.lines, "x")]
            for prompt, line in zip(NASTY, found, strict=True):
                words = [word.replace("|||", "&#124;" * 3) for word in tokens.encode(prompt)]
                assert line.split(" ")[: len(words)] == words


def test_prefixes_and_phrases_of_models_in_other_directions(s2st, made, files, tmp_path):
    """Phrases keep their order in right-to-left models, and language models take them too."""
    text = (files / "src").read_text("utf-8").splitlines()
    (tmp_path / "terms").write_text("est le\tla\n" * len(text), "utf-8")
    for name in ("r2l", "lm"):
        model = ["--checkpoint", made[name], "--no-detokenize"]
        outcome = s2st("generate", *model, "--constraints", tmp_path / "terms", files / "src")
        assert outcome.code == 0, outcome.err
        assert len(outcome.lines) == len(text)
        for line in outcome.lines:
            assert " est le " in f" {line} "
            assert "la" in line.split()
        (tmp_path / "starts").write_text("le\n" * len(text), "utf-8")
        refused = s2st("generate", *model, "--prefix", tmp_path / "starts", files / "src")
        refused.check_error(2, "--prefix needs a model")
