"""Every mistake a user can make is one line on stderr and the right exit code."""

import os

import pytest
from tampering import reseal

USAGE, DATA, MISSING, OUTPUT = 2, 65, 66, 74


@pytest.fixture
def broken(tmp_path, world):
    """Names for paths that cannot be used, as `{name}` in the commands below."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("no such thing\n")
    (tmp_path / "exists").mkdir()
    (tmp_path / "exists" / "x").write_text("x")
    (tmp_path / "bad.toml").write_text("beam = = 3\n")
    (tmp_path / "typo.toml").write_text("beem = 3\n")
    (tmp_path / "typed.toml").write_text('beam = "three"\n')
    (tmp_path / "table.toml").write_text("[search]\nbeam = 3\n")
    (tmp_path / "latin1").write_bytes(b"fine\n\xe9t\xe9\n")
    (tmp_path / "short").write_text("one line\n")
    (tmp_path / "loop.toml").write_text('members = ["loop.toml"]\n')
    (tmp_path / "nobody.toml").write_text("members = []\n")
    (tmp_path / "ok.nbest").write_text("0 ||| le chat ||| A= 1 ||| -1\n")
    (tmp_path / "bad.nbest").write_text("0 ||| le chat ||| A= 1 ||| -1\n0 ||| le ||| A= 1\n")
    (tmp_path / "id.nbest").write_text("0 ||| le ||| ||| -1\n12 ||| le ||| ||| -1\n")
    (tmp_path / "back.nbest").write_text("1 ||| le ||| ||| -1\n0 ||| le ||| ||| -1\n")
    names = {path.name: str(path) for path in tmp_path.iterdir()}
    return {
        **names,
        "tmp": str(tmp_path),
        "missing": str(tmp_path / "missing"),
        "store": str(world.store),
        "save_dir": str(world.save_dir),
        "model": str(world.forward),
        "other": str(world.other),
        "src": str(world.source),
        "ref": str(world.target),
        "prefix": str(world.prefix),
    }


GENERATE = "generate --checkpoint {model} {src}"
RESCORE = "rescore-nbest --checkpoint {model} --source {src}"
PAIRS = "score --checkpoint {model} --source {src} --target {ref}"
PREPROCESS = "preprocess -s en -t fr --destdir {tmp}/new --trainpref {prefix}"
TRAIN = "train {store} --save-dir {tmp}/new --max-epoch 1"

CASES = [
    # missing and unreadable files
    (MISSING, "generate --checkpoint {model} {missing}", "{missing}"),
    (MISSING, "generate --checkpoint {model} {empty}", "{empty}"),
    (MISSING, "generate --checkpoint {missing} {src}", "{missing}"),
    (MISSING, "score {missing} --ref {ref}", "{missing}"),
    (MISSING, "score {ref} --ref {empty}", "{empty}"),
    (MISSING, "score --checkpoint {model} --source {src} --target {missing}", "{missing}"),
    (MISSING, "rescore-nbest {missing} --checkpoint {model} --source {src}", "{missing}"),
    (MISSING, "rescore-nbest {empty} --checkpoint {model} --source {src}", "{empty}"),
    (MISSING, "rescore-nbest {ok.nbest} --checkpoint {model} --source {missing}", "{missing}"),
    (MISSING, "rescore-nbest {ok.nbest} --checkpoint {missing} --source {src}", "{missing}"),
    (MISSING, "preprocess -s en -t fr --destdir {tmp}/new --trainpref {missing}", "{missing}.en"),
    (MISSING, "preprocess -s en -t fr --destdir {tmp}/new --tsv {empty}", "{empty}"),
    (MISSING, f"{PREPROCESS} --srcdict {{missing}}", "{missing}"),
    (MISSING, f"{PREPROCESS} --srcdict {{empty}}", "{empty}"),
    (MISSING, "train {missing}", "{missing}"),
    (MISSING, "train {empty}", "{empty}"),
    (MISSING, "inspect {missing}", "{missing}"),
    (MISSING, "inspect {empty}", "{empty}"),
    (MISSING, "export {missing} {tmp}/new", "{missing}"),
    (MISSING, f"{GENERATE} --config {{missing}}", "{missing}"),
    (MISSING, f"{GENERATE} --config {{empty}}", "{empty}"),
    # not a checkpoint, not a store
    (MISSING, "generate --checkpoint {empty} {src}", "{empty}"),
    (DATA, "generate --checkpoint {store} {src}", "store"),
    (MISSING, "generate --checkpoint {save_dir} {src}", "did you mean"),
    (DATA, "generate --checkpoint {file} {src}", "folder"),
    (MISSING, "generate --path {model}:{missing} {src}", "{missing}"),
    (USAGE, "generate --path {model}: {src}", "empty name"),
    (USAGE, "generate --path :{model} {src}", "empty name"),
    (DATA, "export {store} {tmp}/new", "store"),
    (MISSING, "export {save_dir} {tmp}/new", "did you mean"),
    (DATA, "inspect {file}", "{file}"),
    (MISSING, "inspect {save_dir}", "did you mean"),
    (DATA, "train {model} --save-dir {tmp}/new", "this is a checkpoint"),
    (MISSING, "train {file}", "{file}"),
    # ensembles
    (USAGE, f"{GENERATE} --checkpoint {{other}}", "target vocabulary"),
    (USAGE, f"{GENERATE} --checkpoint {{model}} --ensemble-weight 1", "1 ensemble weights for 2"),
    (USAGE, f"{GENERATE} --ensemble-weight 1 --ensemble-weight 2", "2 ensemble weights for 1"),
    (
        USAGE,
        f"{GENERATE} --checkpoint {{model}} --ensemble-weight 0 --ensemble-weight 1",
        "above 0",
    ),
    (USAGE, "generate --checkpoint {loop.toml} {src}", "member of itself"),
    (USAGE, "generate --checkpoint {nobody.toml} {src}", "members"),
    (USAGE, "generate --checkpoint {bad.toml} {src}", "{bad.toml}"),
    (USAGE, "generate --checkpoint {typo.toml} {src}", "unknown option"),
    (MISSING, "generate --checkpoint {missing}.toml {src}", "{missing}.toml"),
    (USAGE, "generate {src}", "--checkpoint"),
    (USAGE, "rescore-nbest {ok.nbest} --source {src}", "--checkpoint"),
    # text
    (DATA, "generate --checkpoint {model} {latin1}", "{latin1}, line 2"),
    (DATA, "score {latin1} --ref {ref}", "{latin1}, line 2"),
    (DATA, "score --checkpoint {model} --source {latin1} --target {latin1}", "{latin1}, line 2"),
    (DATA, "score {short} --ref {ref}", "{short}, line 2"),
    (DATA, "score {ref} --ref {short}", "{short}"),
    (DATA, "score {ref} {short} --ref {ref}", "{short}, line 2"),
    (DATA, "score --checkpoint {model} --source {src} --target {short}", "{short}, line 2"),
    (DATA, "score --checkpoint {model} --source /dev/null --target /dev/null", "no lines"),
    (DATA, "score /dev/null --ref /dev/null", "no line"),
    (DATA, "preprocess -s en -t fr --destdir {tmp}/new --tsv {latin1}", "line"),
    (DATA, f"{PREPROCESS} --srcdict {{file}}", "{file}, line 1"),
    # n-best lists
    (DATA, f"{RESCORE} {{bad.nbest}}", "{bad.nbest}, line 2: 3 fields"),
    (DATA, f"{RESCORE} {{id.nbest}}", "{id.nbest}, line 2: id 12, but the source has 12 lines"),
    (DATA, f"{RESCORE} {{back.nbest}}", "{back.nbest}, line 2"),
    (DATA, f"{RESCORE} {{src}}", "{src}, line 1: 1 fields"),
    (DATA, f"{RESCORE} {{latin1}}", "{latin1}"),
    (USAGE, "rescore-nbest - --checkpoint {model} --source -", "standard input"),
    (USAGE, "score --checkpoint {model} --source - --target -", "standard input"),
    (USAGE, "score - --ref -", "standard input"),
    (USAGE, f"{RESCORE} {{ok.nbest}} --weight S2ST1=1", "S2ST1"),
    (USAGE, f"{RESCORE} {{ok.nbest}} --weight S2ST0", "NAME=VALUE"),
    (USAGE, f"{RESCORE} {{ok.nbest}} --weight S2ST0=nan", "NAME=VALUE"),
    # options
    (USAGE, f"{GENERATE} --config {{bad.toml}}", "not a TOML file"),
    (USAGE, f"{GENERATE} --config {{typo.toml}}", "did you mean beam"),
    (USAGE, f"{GENERATE} --config {{typed.toml}}", "whole number"),
    (USAGE, f"{GENERATE} --config {{table.toml}}", "'search' is a table"),
    (USAGE, f"{GENERATE} --config {{latin1}}", "not a TOML file"),
    (USAGE, f"{GENERATE} --beem 3", "--beam"),
    (USAGE, f"{GENERATE} --search greedy --beam 3", "--beam"),
    (USAGE, f"{GENERATE} --search greddy", "greedy"),
    (USAGE, f"{GENERATE} --beam 0", "the minimum is 1"),
    (USAGE, f"{GENERATE} --beam many", "many"),
    (USAGE, f"{GENERATE} --batch-size 0", "the minimum is 1"),
    (USAGE, f"{GENERATE} --format xml", "xml"),
    (USAGE, f"{GENERATE} --max-len-a nan", "max-len-a"),
    (USAGE, f"{GENERATE} --nbest 3", "--format moses"),
    (USAGE, f"{GENERATE} --search greedy --nbest 2 --format json", "--nbest 2"),
    (USAGE, f"{GENERATE} {{src}}", "{src}"),
    (USAGE, f"{GENERATE} --plugin no.such.plugin", "no.such.plugin"),
    (USAGE, f"{TRAIN} -a lstn", "did you mean lstm"),
    (USAGE, f"{TRAIN} --optimizer adma", "adam"),
    (USAGE, f"{TRAIN} -a ensemble", "ensemble"),
    (USAGE, f"{TRAIN} --recipe sutskever", "sutskever2014"),
    (USAGE, f"{TRAIN} --lr 0.1 --lr-scheduler nothing", "schedul"),
    (USAGE, f"{TRAIN} --hidden-size 0", "the minimum is 1"),
    (USAGE, f"{TRAIN} --dropout 1", "the maximum is 0.99"),
    (USAGE, f"{TRAIN} --config {{typo.toml}}", "unknown option 'beem'"),
    (USAGE, "train", "DATA"),
    (USAGE, "inspect", "PATH"),
    (USAGE, "inspect --arch lstn --nwordssrc 5 --nwordstgt 5", "did you mean"),
    (USAGE, "inspect --nwordssrc -5 --nwordstgt 5", "nwordssrc"),
    (USAGE, "list nothing", "unknown kind"),
    (USAGE, "list --plugin no.such.plugin", "no.such.plugin"),
    (USAGE, "export {model}", "RELEASE"),
    (USAGE, "score", "--ref"),
    (USAGE, "score {ref}", "--ref"),
    (USAGE, "score --checkpoint {model} --source {src}", "--target"),
    (USAGE, f"{PAIRS} {{ref}}", "HYP"),
    (USAGE, f"{PAIRS} --ref {{ref}}", "--ref"),
    (USAGE, "score {ref} --ref {ref} --source {src}", "--source"),
    (USAGE, f"{RESCORE} {{ok.nbest}} --ensemble-weight 2", "--ensemble-weight"),
    (
        USAGE,
        f"{RESCORE} {{ok.nbest}} --checkpoint {{model}} --feature-per member "
        "--ensemble-weight 1 --ensemble-weight 2",
        "--ensemble-weight",
    ),
    (USAGE, "score {ref} {src} --ref {ref} --samples 0", "samples"),
    (USAGE, "score {ref} {ref} --ref {ref}", "twice"),
    (USAGE, "score {ref} --ref {ref} --tokenize 14a", "14a"),
    (USAGE, "preprocess -s en -t fr --destdir {tmp}/new", "--trainpref"),
    (USAGE, "preprocess --destdir {tmp}/new --trainpref {prefix}", "--source-lang"),
    (USAGE, f"{PREPROCESS} --tokenizer mose", "moses"),
    (USAGE, f"{PREPROCESS} --nwordssrc -1", "the minimum is 0"),
    (USAGE, f"{PREPROCESS} --workers 0", "the minimum is 1"),
    (USAGE, "tranlsate", "tranlsate"),
    (USAGE, "trian", "did you mean train?"),
    (USAGE, "--nothing", "--nothing"),
    # outputs
    (OUTPUT, "preprocess -s en -t fr --trainpref {prefix} --destdir {exists}", "already exists"),
    (OUTPUT, "preprocess -s en -t fr --trainpref {prefix} --destdir {file}", "already exists"),
    (OUTPUT, "export {model} {exists}", "already exists"),
    (OUTPUT, "export {model} {file}", "already exists"),
    (OUTPUT, "export {model} {file}/x", "cannot be created"),
    (OUTPUT, "train {store} --save-dir {file}", "cannot be"),
    (OUTPUT, f"{GENERATE} -o {{exists}}", "cannot be written"),
    (OUTPUT, f"{GENERATE} -o {{missing}}/x", "cannot be written"),
    (OUTPUT, f"{RESCORE} {{ok.nbest}} -o {{exists}}", "cannot be written"),
    (OUTPUT, f"{GENERATE} -o /dev/full", "No space left"),
    (OUTPUT, f"{RESCORE} {{ok.nbest}} -o /dev/full", "No space left"),
]


@pytest.mark.parametrize(("code", "command", "part"), CASES, ids=[case[1] for case in CASES])
def test_one_line_and_the_exit_code(s2st, broken, code, command, part):
    class Names(dict):
        def __missing__(self, key):
            raise KeyError(key)

    def fill(text: str) -> str:
        for name, path in broken.items():
            text = text.replace("{" + name + "}", path)
        return text

    s2st(*map(fill, command.split())).check_error(code, fill(part))


@pytest.mark.parametrize("damage", ["weights.safetensors", "dict.en.txt", "manifest.json"])
def test_damaged_checkpoints(s2st, world, tmp_path, damage):
    assert s2st("export", world.forward, tmp_path / "copy").code == 0
    path = tmp_path / "copy" / damage
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x55
    path.write_bytes(data[:-9] if damage == "manifest.json" else bytes(data))
    for command in (["generate", "--checkpoint"], ["inspect"]):
        outcome = s2st(*command, tmp_path / "copy")
        outcome.check_error(DATA, str(tmp_path / "copy"))
    path.unlink()
    code = MISSING if damage == "manifest.json" else DATA
    s2st("generate", "--checkpoint", tmp_path / "copy").check_error(code, damage)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("architecture", None),
        ("architecture", {"name": "lstm"}),
        ("architecture", {"name": "lstm", "options": []}),
        ("architecture", {"name": ["lstm"], "options": {}}),
        ("architecture", {"name": "transformer9", "options": {}}),
        ("tokenizers", {}),
        ("tokenizers", []),
        ("plugins", 3),
        ("files", {"../x": {}}),
        ("version", 99),
        ("summary", {"history": 3}),
        ("summary", {"history": [{}]}),
    ],
)
def test_manifests_that_were_edited(s2st, world, tmp_path, key, value):
    assert s2st("export", world.forward, tmp_path / "copy").code == 0
    reseal(tmp_path / "copy", lambda manifest: manifest.update({key: value}))
    outcome = s2st("inspect", tmp_path / "copy")
    assert "internal error" not in outcome.err
    if key == "summary":
        assert outcome.code == DATA
    else:
        outcome.check_error(2 if "transformer9" in str(value) else DATA)


def test_a_failed_preprocess_leaves_nothing(s2st, broken, tmp_path):
    before = sorted(os.listdir(tmp_path))
    outcome = s2st(
        "preprocess", "-s", "en", "-t", "fr", "--tsv", broken["latin1"],
        "--destdir", tmp_path / "new",
    )  # fmt: skip
    assert outcome.code == DATA
    assert sorted(os.listdir(tmp_path)) == before


def test_a_failed_generate_keeps_the_old_output(s2st, broken, tmp_path):
    (tmp_path / "out").write_text("precious\n")
    outcome = s2st("generate", "--checkpoint", broken["missing"], "-o", tmp_path / "out")
    outcome.check_error(MISSING)
    assert (tmp_path / "out").read_text() == "precious\n"
    arguments = ["generate", "--checkpoint", broken["model"], "-o", tmp_path / "out"]
    s2st(*arguments, broken["missing"]).check_error(MISSING)
    assert (tmp_path / "out").read_text() == "precious\n"
    s2st(*arguments, broken["latin1"]).check_error(DATA)
    assert (tmp_path / "out").read_text() == "precious\n"
