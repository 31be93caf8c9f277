"""Every path of every benchmark at toy size, with stand-ins for the peers."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import builders
import peer_interpreter
import pytest

from s2st.models.model_files import write_manifest, write_model_files
from s2st.models.registry import ARCHITECTURES

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
PAGE = "<!-- results:begin -->\n<!-- results:end -->\n"
ALONE = {"bfloat16_quality", "scaling", "tuning_scale"}  # `make bench` leaves them out


@pytest.fixture
def module(monkeypatch):
    """Imports a module of the benchmarks' folder."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


def run(script, *options):
    command = [sys.executable, str(FOLDER / script), *map(str, options)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_program_of_the_folder_is_run_here(module):
    programs = {
        path.stem for path in FOLDER.glob("*.py") if "__main__" in path.read_text("utf-8")
    } - {"all"}
    assert programs == {Path(part.file).stem for part in module("all").PARTS} | ALONE


def test_every_adapter_belongs_to_a_benchmark(module):
    named = {
        script for name in ("training", "decoding", "rescoring")
        for peers in (module(name).PEERS, module(name).TRANSFORMER_PEERS)
        for _, script in peers.values()
    }  # fmt: skip
    adapters = {
        path.name for path in (FOLDER / "peers").glob("*.py")
        if not path.stem.endswith("_model") and path.stem != "tasks"
    }  # fmt: skip
    assert adapters == named


@pytest.mark.extensive
def test_all_of_them_with_all_peers(tmp_path):
    (tmp_path / "page.md").write_text(PAGE)
    python = peer_interpreter.with_peers(tmp_path)
    run(
        "all.py", "--quick", "--results", tmp_path / "results", "--page", tmp_path / "page.md",
        *peer_interpreter.options(python),
    )  # fmt: skip
    (path,) = (tmp_path / "results").iterdir()
    parts = json.loads(path.read_text("utf-8"))["parts"]
    assert {name: part["state"] for name, part in parts.items()} == dict.fromkeys(parts, "done")
    (training,), (rescoring,) = parts["training-S"]["results"], parts["rescoring-S"]["results"]
    *decoding, last = parts["decoding-S"]["results"]
    assert training["missing"] == rescoring["missing"] == last["missing"] == []
    peers = {"OpenNMT-py", "fairseq", "JoeyNMT", "Marian"}
    assert peers <= {row["way"] for row in training["ways"]}
    assert peers <= {row["name"] for row in decoding}
    assert {"OpenNMT-py", "fairseq"} <= {row["way"] for row in rescoring["ways"]}
    assert "x the fastest peer here" in parts["training-S"]["output"]
    assert "x the fastest peer here" in parts["rescoring-S"]["output"]
    # the stand-ins have no Transformer
    (training,), (rescoring,) = parts["training-T"]["results"], parts["rescoring-T"]["results"]
    assert training["architecture"] == rescoring["architecture"] == "transformer"
    assert len(training["missing"]) == len(rescoring["missing"]) == 2
    assert all(f"### {name}\n" in (tmp_path / "page.md").read_text("utf-8") for name in parts)


@pytest.mark.extensive
def test_start_of_every_command(tmp_path, module):
    config = ARCHITECTURES.get("lstm").config_type(
        layers=1, hidden_size=4, embedding_size=4, dropout=0.0
    )
    record = builders.record("lstm", config)
    (tmp_path / "model").mkdir()
    write_model_files(tmp_path / "model", record, record.build().state_dict())
    write_manifest(tmp_path / "model", record, {})
    (tmp_path / "lines").write_text("a b\n")
    run(
        "startup.py", "--checkpoint", tmp_path / "model", "--lines", tmp_path / "lines",
        "--repeats", 1, "--json", tmp_path / "json",
    )  # fmt: skip
    results = json.loads((tmp_path / "json").read_text("utf-8"))["results"]
    names = [row["name"] for row in results]
    assert len(names) == len(set(names)) == 12
    assert {"--help", "list", "preprocess", "train, one update", "export"} <= set(names)
    # all of these write to standard output; the others write files only
    silent = {row["name"] for row in results if row["first"] is None}
    assert silent <= {"export", "preprocess", "train, one update"}


@pytest.mark.extensive
def test_scaling_measured(tmp_path):
    data = builders.store(tmp_path / "data")
    shown = run(
        "scaling.py", "measure", data, "--updates", 2, "--repeats", 1, "--layers", 1,
        "--hidden", 8, "--batch", 4, "--json", tmp_path / "json",
    )  # fmt: skip
    results = json.loads((tmp_path / "json").read_text("utf-8"))["results"]
    two = "two processes, one thread each"
    assert all(rates[0] > 0 for rates in results["words_per_second"].values())
    assert len(results["words_per_second"]) == 3
    assert set(results["bytes_an_update"]) == {two}
    assert f"{two}: " in shown


def test_scaling_estimate(module, monkeypatch, tmp_path, capsys):
    scaling = module("scaling")
    command = ["scaling.py", "estimate", "--teraflops", "100", "--json", str(tmp_path / "json")]
    monkeypatch.setattr(sys, "argv", command)
    scaling.main()
    rows = json.loads((tmp_path / "json").read_text("utf-8"))["results"]
    assert [row["gpus"] for row in rows] == [1] * 3 + [8] * 3 + [64] * 3
    # 128 pairs of 304 / 12 and 348 / 12 words; 6 operations a weight and word
    words = 128 * 304 / 12, 128 * 348 / 12
    operations = 6 * (words[0] * 32e6 + words[1] * (32e6 + 80e6))
    assert rows[0]["operations"] == pytest.approx(operations)
    assert rows[0]["compute"] == pytest.approx(operations / 1e14)
    assert rows[0]["sparse"] == rows[0]["dense"] == 0  # one GPU sends nothing
    assert rows[3]["sharded"] == rows[3]["memory"] / 8
    assert "At 100 TFLOP/s sustained:" in capsys.readouterr().out


def test_a_peer_that_fails_is_shown_with_its_words(module):
    script = "import sys; sys.exit('no such weight: softmax')"
    with pytest.raises(RuntimeError, match="no such weight: softmax"):
        module("machine").run_peer([sys.executable, "-c", script])


def test_peers_that_are_not_there_are_named(module, tmp_path):
    python = peer_interpreter.without_peers(tmp_path)
    peers = {"OpenNMT-py": ("onmt", "opennmt_train.py"), "nobody": ("nobody", "nobody_train.py")}
    found, missing = module("machine").peers_here(peers, dict.fromkeys(peers, python))
    assert found == {}
    assert missing == [
        f"OpenNMT-py: not installed for {python}; not run", "nobody: no adapter here; not run",
    ]  # fmt: skip


def test_inputs_of_full_size_are_made_from_a_folder(module, tmp_path):
    bench, texts, made = module("all"), tmp_path / "texts", tmp_path / "made"
    texts.mkdir()
    made.mkdir()
    for name in bench.TEXTS:
        for language in bench.LANGUAGES:
            (texts / f"{name}.{language}").write_text("a b c\nb c\n" * 3)
    arguments = bench.argparse.Namespace(
        data=texts,
        results=tmp_path / "results",
        checkpoint=["one", "two"],
        lists="lists",
        transformer="three",
    )
    inputs = bench.own_inputs(arguments, str(made))
    needed = {name for part in bench.PARTS for name in part.inputs.values()}
    assert needed <= set(inputs)
    assert [Path(path).name for path in inputs["models"]] == ["one", "two"]
    assert (made / "store" / "manifest.json").exists()
    assert Path(inputs["test.en"][0]).read_text() == "a b c\nb c\n" * 3
