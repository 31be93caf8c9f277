"""The parsers under fuzz: for each a valid file and what reads it.

A target's `check` damages the file, reads it, and lets only what is a defect leave: the toolkit's
own errors, each one line of bounded length, are what damage should end in.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import builders
import numpy as np
import torch
from mutations import mutate, mutate_json
from tampering import reseal

from s2st.data.array_files import open_array
from s2st.data.store import Store
from s2st.errors import S2STError
from s2st.jobs.options import GENERATE_SPEC, RESCORE_SPEC
from s2st.jobs.train import TRAIN_SPEC
from s2st.models.model_files import read_saved, write_manifest, write_model_files
from s2st.models.registry import ARCHITECTURES
from s2st.models.weight_files import load_tensors
from s2st.options.option_fields import read_option_file
from s2st.options.resolution import OptionSource, resolve
from s2st.rescoring.feature_weights import read_weights, write_weights
from s2st.scoring.load_scorers import fingerprints, load_members
from s2st.text.line_files import read_lines
from s2st.text.nbest_lists import format_entry, parse_entry, read_nbest
from s2st.text.vocabulary import Vocabulary
from s2st.text.word_vectors import read_vectors

NBEST = """\
0 ||| a b c ||| LM0= -1.5 2 TM0= 0.25 -3e-05 Sparse_x= 1 ||| -4.25 ||| 0-0 1-1 ||| 0-1=0-1
0 ||| a \u2028c ||| LM0= -inf 2 TM0= ||| nan
2 |||  ||| ||| 0
7 ||| d ||| LM0= 1 ||| -1 |||
""".encode()
DIALECTS = (  # one file of each other format of n-best lists
    b"0 ||| a b ||| d: 0 -1.5 lm: -3 w: -2 ||| -9 ||| 0-0\n1 ||| c ||| d: -inf lm: 2 ||| -1\n",
    b"0 ||| a b ||| lm_0=-1.5 tm_pt_0=2;Glue=1 ||| -9\n1 ||| c ||| x=1 lm_0=3 ||| -1\n",
    b"0 ||| a b ||| -1.5 2 ||| -9\n1 ||| c ||| 1 2 ||| 3\n",
    b"0 ||| a b ||| 0-0 ||| WordScores= -1 ||| F0=-1.5 F1= 2 ||| -9\n",
    b"0 ||| a b\n1 ||| c\n",
    b"| [en] types\nS-0\tx y\nH-0\t-1.5\ta b\nD-0\t-1.5\tab\nP-0\t-1 -2\nA-0\t0-0\nH-2\t1\tc\n",
    b'{"sentence_id": 1, "translations": ["a b", "c"], "scores": [[1.5], 2]}\n',
    b'{"line": 0, "hypotheses": [{"text": "a b", "score": -1.5, "log_prob": -3}]}\n',
)
VOCABULARY = "der 12\nla 7\n\u00e9t\u00e9 3\na\u2028b 1\nbare\n".encode()
WEIGHTS = b"# tuned\n[weight]\nLM0= 0.5 -1e-3\nTM0= 1 2 3 4 # four\nBaseline= 0.25\n[other]\nx\n"
CONFIGS = [
    b'beam = 4\nlen-penalty = 0.5\ncheckpoint = ["a", "b"]\nensemble_weight = [1, 2.5]\n'
    b'threads = 2\nformat = "json"\ndetokenize = false\n',
    b'weight = ["Baseline=0.5", "S2ST0=1"]\noutput = "nbest"\nmax_rows = 64\nfolds = 3\n'
    b"directions = 4\n",
    b'arch = "gru"\nhidden_size = 32\nlr = 1e-3\nmax-update = 1_000\nclip_norm = 5.0\nseed = 0x10\n'
    b'patience = 3\nlr_scheduler = "plateau"\n',
]
VECTORS = (
    b"3 2\nder 0.5 -1e-3 \n\xc3\xa9t\xc3\xa9 1 2 \nder 3 4 \n",
    "la 1 2 3\n. . . 4 5 6\na\u2028b 7 8 9\n".encode(),
)
ENSEMBLE = b'arch = "ensemble"\nmembers = ["model", "./model"]\nweights = [1, 0.5]\n'


@dataclass(frozen=True)
class Target:
    """One parser.

    Attributes:
        file: the damaged file, among whatever else the parser needs beside it.
        seeds: valid contents of it.
        sealed: a manifest beside it holds its hash, which is made to fit: else all ended there.
        read: reads `file`; raises S2STError for what it refuses, AssertionError for wrong answers.
    """

    name: str
    file: Path
    seeds: tuple[bytes, ...]
    read: Callable[[Path], object]
    sealed: bool = False

    def check(self, draw: Random) -> None:
        """One damaged file; whatever leaves is a defect."""
        seed = draw.choice(self.seeds)
        structured = self.file.suffix == ".json" and draw.randrange(4) > 0
        self.file.write_bytes((mutate_json if structured else mutate)(draw, seed))
        if self.sealed:
            reseal(self.file.parent)
        try:
            self.read(self.file)
        except S2STError as error:
            message = str(error).replace(str(self.file.parent), "")
            assert "\n" not in message, f"more than one line: {message!r}"
            assert len(message) < 3000, f"a long message: {message[:200]!r}"


def read_lists(path: Path) -> None:
    """All lists; what was read is read again from its own lines."""
    for group in read_nbest(read_lines(path, "replace"), str(path)):
        for entry in group:
            line = format_entry(entry)
            again = parse_entry(line, "again", 1)
            assert (again.id, again.hypothesis) == (entry.id, entry.hypothesis)
            assert again.extra == entry.extra
            assert [name for name, _ in again.features] == [name for name, _ in entry.features]
            assert format_entry(again) == line


def read_vocabulary(path: Path) -> None:
    """The vocabulary, and the same from what it saves."""
    vocabulary = Vocabulary.load(path)
    saved = path.with_name("again")
    vocabulary.save(saved)
    assert Vocabulary.load(saved).tokens == vocabulary.tokens


def read_both_ways(path: Path) -> None:
    """The weights, and the same from what is written."""
    weights = read_weights(str(path))
    again = path.with_name("again")
    write_weights(str(again), weights)
    assert read_weights(str(again)) == weights


def read_word_vectors(path: Path) -> None:
    """All vectors, which are finite numbers, and words that are there once."""
    vectors = read_vectors(path)
    assert np.isfinite(vectors.table).all()
    assert len(set(vectors.words)) == len(vectors.words) == len(vectors.table)


def read_config(path: Path) -> None:
    """The options of each command that the file may be for."""
    refused = None
    for spec in (GENERATE_SPEC, RESCORE_SPEC, TRAIN_SPEC):
        try:
            resolve(spec, [OptionSource(str(path), read_option_file(path))])
        except S2STError as error:
            refused = error
    if refused is not None:
        raise refused


def read_ensemble_file(path: Path) -> None:
    """The members and their fingerprints."""
    load_members([str(path)], torch.device("cpu"), "float32")
    fingerprints([str(path)])


def read_array(path: Path) -> None:
    """Header and numbers; what is mapped lies within the file."""
    array = open_array(path, np.int32)
    assert array.nbytes <= path.stat().st_size
    array.sum()


def read_store(folder: Path) -> None:
    """All that training asks of a store."""
    store = Store(folder)
    store.content_hash()
    store.verify()
    for name in store.splits:
        corpus = store.split(name)
        for side in (corpus.source, corpus.target):
            assert all(len(side[i]) >= 0 for i in range(len(side)))


def make_targets(folder: Path) -> list[Target]:
    """The targets, over small valid files made in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    model = save_model(folder / "model")
    store = Path(builders.store(folder / "store"))
    inside = {
        name: (model / name).read_bytes() for name in ("manifest.json", "weights.safetensors")
    }

    def in_copy(name: str, original: Path, read: Callable[[Path], object]) -> Target:
        copy = folder / f"{name} in {original.name}"
        shutil.copytree(original, copy)
        seed, sealed = (copy / name).read_bytes(), not name.endswith(".json")
        return Target(
            f"{original.name}/{name}", copy / name, (seed,), lambda path: read(path.parent), sealed
        )

    array = (store / "train.en.ids.npy").read_bytes()
    return [
        Target("n-best", folder / "x.nbest", (NBEST, *DIALECTS), read_lists),
        Target("vocabulary", folder / "dict.en.txt", (VOCABULARY,), read_vocabulary),
        Target("weights", folder / "x.weights", (WEIGHTS,), read_both_ways),
        Target("vectors", folder / "x.vec", VECTORS, read_word_vectors),
        Target("config", folder / "x.toml", tuple(CONFIGS), read_config),
        Target("ensemble", folder / "e.toml", (ENSEMBLE,), read_ensemble_file),
        Target("array", folder / "x.npy", (array,), read_array),
        Target("tensors", folder / "x.safetensors", (inside["weights.safetensors"],), load_tensors),
        in_copy("manifest.json", model, read_saved),
        in_copy("dict.en.txt", model, read_saved),
        in_copy("manifest.json", store, read_store),
        in_copy("train.en.offsets.npy", store, read_store),
        in_copy("train.fr.ids.npy", store, read_store),
    ]


def save_model(folder: Path) -> Path:
    """A tiny LSTM on disk, of weights so large that outputs tell sources apart."""
    folder.mkdir()
    config = ARCHITECTURES.get("lstm").config_type(**{**builders.TINY, "hidden_size": 12})
    record = builders.record("lstm", config)
    model = builders.model("lstm", config, 1, record.sizes, torch.float32)
    write_model_files(folder, record, {n: 4 * w for n, w in model.state_dict().items()})
    write_manifest(folder, record, {})
    return folder
