"""The commands of the how-to pages run in the order of each page, on a small corpus."""

import importlib.util
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from made_once import made_once
from pages import ROOT, Block, blocks, programs, run_shell, script

PAGES = [
    *sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("docs/how-to/*.md")),
    "README.md", "docs/architectures.md", "docs/interfaces.md", "docs/serve.md",
]  # fmt: skip
DOCUMENTS = sorted(
    {*PAGES, *(path.relative_to(ROOT).as_posix() for path in ROOT.glob("docs/**/*.md"))}
    - {"docs/other-toolkits.md"}  # its commands are those of other programs, or need their files
)
LANGUAGES = {"sh", "text", "toml", "json", "python"}
# what a page makes itself, and the world has for other pages
MADE_HERE = {
    "README.md": ["bin", "model", "M"],
    "docs/how-to/prepare-data.md": ["bin"],
    "docs/how-to/tokenize.md": ["bin"],
    "docs/how-to/train.md": ["model", "M"],
    "docs/how-to/fine-tune.md": ["mine-bin"],
    "docs/how-to/vectors.md": ["bin", "model", "M"],
    "docs/architectures.md": ["fr.arpa", "lm", "LM"],
}
# the sizes of the documents would take minutes
TINY = "--arch transformer --layers 1 --hidden-size 8"
PIECES = ("--tokenizer sentencepiece", "--tokenizer sentencepiece --sentencepiece-vocab-size 120")
SMALLER = {
    "README.md": [PIECES, ("--arch transformer", TINY)],
    "docs/how-to/prepare-data.md": [("--arch transformer", TINY)],
    "docs/how-to/train.md": [PIECES, ("--arch transformer --max-tokens", f"{TINY} --max-tokens")],
    "docs/architectures.md": [("--order 5", "--order 2 --discount-fallback")],
}
# code that another test runs
ELSEWHERE = {
    ("README.md", "python"),  # test_python_pages, with a model that knows the words
    ("docs/interfaces.md", "python"),  # test_interfaces_page
}
COPIES = {  # of the demo's texts, under the names that the pages use
    "train": ["train", "mine", "corpus/train", "tatoeba/train", "ddtp/train"],
    "valid": ["valid", "val", "mine-valid", "tatoeba/valid", "ddtp/valid"],
    "test": ["test", "dev", "corpus/test"],
}
SENTENCE = {"en": "The cat sleeps on the red carpet .", "fr": "Le chat dort sur le tapis rouge ."}
FAIRSEQ = "S-0\ta dog\nT-0\tun chien\nH-0\t-0.5\tun chien\nP-0\t-0.4 -0.5 -0.6\n"
SMALL = "--layers 1 --hidden-size 8 --embedding-size 8 --lr 0.01 --max-epoch 3"
MODELS = f"""
s2st preprocess -s en -t fr --trainpref train --validpref valid --testpref test --destdir bin
s2st preprocess -s fr -t en --trainpref train --validpref valid --destdir bin-back
s2st preprocess --only-target -t fr --trainpref train --validpref valid --tgtdict bin \\
    --destdir bin-lm
s2st train bin {TINY} --max-epoch 3 --lr 0.01 --save-dir model
s2st train bin {SMALL} --reverse-target --save-dir rtl
s2st train bin-back {SMALL} --save-dir back
s2st train bin-lm {SMALL} --arch lstm-lm --save-dir lm
s2st train-lexicon bin -o lexicon.tsv
s2st train-ngram train.fr -o fr.arpa --order 2 --dict bin --lang fr
s2st train-ngram train.en -o lm.arpa --order 2 --discount-fallback
s2st generate --checkpoint model/checkpoint_best --nbest 4 --format moses test.en -o test.nbest
"""
LINKS = {
    "M": "model/checkpoint_best", "M-right-to-left": "rtl/checkpoint_best",
    "M-back": "back/checkpoint_best", "LM": "lm/checkpoint_best", "forward": "model",
    "reversed": "model", "a": "model", "b": "model", "general": "model",
    "runs/nmt": "../model/checkpoint_best",
    "examples": str(ROOT / "examples"),
}  # fmt: skip


def make_marian() -> Callable[[Path], object]:
    """The function of test_marian_format that writes a Marian model with random weights."""
    path = ROOT / "tests/unit/models/test_marian_format.py"
    spec = importlib.util.spec_from_file_location("marian_models", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.make_marian


def write_texts(folder: Path) -> None:
    for split, names in COPIES.items():
        for language in ("en", "fr"):
            text = (folder / "data" / f"{split}.{language}").read_text() + SENTENCE[language] + "\n"
            for name in names:
                (folder / name).parent.mkdir(exist_ok=True)
                (folder / f"{name}.{language}").write_text(text)
                if language == "fr" and "/" in name:  # stands for Korean
                    (folder / f"{name}.ko").write_text(text)
        count = len((folder / "data" / f"{split}.en").read_text().splitlines())
        vectors = np.random.default_rng(1).standard_normal((count, 3, 48), dtype=np.float32)
        np.save(folder / "data" / f"{split}.npy", vectors)
    two = "".join((folder / "test.en").read_text().splitlines(True)[:2])
    for name in ("in", "in.en", "big.en", "tokenized.en"):
        (folder / name).write_text(two)
    for name, source in (("test.src", "test.en"), ("dev.src", "test.en"), ("src.en", "test.en"),
                         ("test.ref", "test.fr"), ("dev.ref", "test.fr"), ("ref.fr", "test.fr"),
                         ("out.fr", "test.fr"), ("smt.fr", "test.fr")):  # fmt: skip
        shutil.copy(folder / source, folder / name)
    (folder / "generate-test.txt").write_text(FAIRSEQ)
    (folder / "codes").write_text("#version: 0.2\nl e</w>\ne n\n")


def make_world(folder: Path) -> None:
    bin_folder = programs(folder / "programs")
    world = folder / "world"
    world.mkdir()
    demo = "s2st demo --only-data --train-size 60 --test-size 12 --dir ."
    done = run_shell(demo, world, bin_folder)
    assert done.returncode == 0, done.stderr
    write_texts(world)
    done = run_shell(MODELS, world, bin_folder)
    assert done.returncode == 0, done.stderr
    for name in ("dev", "a", "b", "a.dev", "b.dev", "baseline"):
        shutil.copy(world / "test.nbest", world / f"{name}.nbest")
    (world / "runs").mkdir()
    for name, target in LINKS.items():
        (world / name).symlink_to(target)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "how-to", make_world)


def to_run(page: str) -> list[Block]:
    return [block for block in blocks(page) if (page, block.language) not in ELSEWHERE]


@pytest.mark.slow
@pytest.mark.parametrize("page", [p for p in PAGES if any(b.language == "sh" for b in blocks(p))])
def test_the_commands_of_a_page_run(page, world, tmp_path):
    if page == "docs/how-to/models.md":
        for package in ("transformers", "sentencepiece", "ctranslate2", "onnx", "onnxruntime"):
            pytest.importorskip(package)
    folder = tmp_path / "world"
    shutil.copytree(world / "world", folder, symlinks=True)
    for name in MADE_HERE.get(page, ()):
        made = folder / name
        shutil.rmtree(made) if made.is_dir() and not made.is_symlink() else made.unlink(True)
    if page == "docs/how-to/models.md":
        make_marian()(folder / "opus-mt-en-fr")
    commands = script(to_run(page))
    for theirs, ours in SMALLER.get(page, ()):
        assert theirs in commands
        commands = commands.replace(theirs, ours)
    done = run_shell(commands, folder, world / "programs")
    last = done.stderr.rfind("\n@ ")
    assert done.returncode == 0, done.stderr[last if last >= 0 else 0 :][-3000:]


@pytest.mark.parametrize("page", DOCUMENTS)
def test_a_block_says_what_it_is(page):
    """A command in a block of output would not be run."""
    text = (ROOT / page).read_text("utf-8")
    assert text.count("<!-- not run") == sum(bool(block.reason) for block in blocks(page))
    for block in blocks(page):
        assert block.language in LANGUAGES, block.name
        assert block.language != "sh" or block.body.strip(), block.name
        if block.language == "text":
            assert not re.search(r"(?m)^\$? *(\w+=\S+ )*(s2st|torchrun) ", block.body), block.name
