"""Writing a model as ONNX files, with all that a program needs to translate with them."""

from pathlib import Path
from typing import Any

from s2st.models.base import Seq2SeqModel
from s2st.models.exported_text import describe_text, write_description, write_json
from s2st.models.model_record import ModelRecord
from s2st.models.onnx_format.architectures import NEW, ModelGraphs, model_graphs
from s2st.models.onnx_format.graph import Graph
from s2st.process import durable_files
from s2st.text.vocabulary import BOS_ID, EOS_ID, PAD_ID, UNK_ID

ENCODER, STEP = "encoder.onnx", "decoder_step.onnx"
STEPS_NOTE = (
    "Run the encoder on tokens that end with eos and are padded with pad; lengths count eos. Run "
    "the decoder step first with the token bos, then with the last word, and with the outputs of "
    "the encoder whose names it has as inputs. After each step, the output in `states` replaces "
    "the input. All states have the rows as their first dimension."
)


def write_onnx(folder: Path, record: ModelRecord, model: Seq2SeqModel) -> None:
    """Write encoder.onnx, decoder_step.onnx, the vocabularies, the tokenizers and s2st.json.

    Args:
        folder: an existing, empty folder.
        record: architecture and vocabularies of the model, which has a single language pair.
        model: the model; its weights must not be packed (`prepare`).

    Raises:
        UsageError: ONNX is not installed, or the model cannot be a graph.
        OutputError: a file cannot be written.
    """
    graphs = model_graphs(record, model)
    for file, graph in ((ENCODER, graphs.encoder), (STEP, graphs.step)):
        content = graph.model(file)
        durable_files.write_file(folder / file, content)
    if getattr(record.config, "reads_source", True):
        write_json(folder / "source_vocabulary.json", record.source_vocabulary.tokens)
    write_json(folder / "target_vocabulary.json", record.target_vocabulary.tokens)
    write_description(folder, record, {**describe_text(record), **_describe(record, graphs)})


def _describe(record: ModelRecord, graphs: ModelGraphs) -> dict[str, Any]:
    """Names, shapes and ids, as JSON values."""
    config = record.config
    outputs = [output.name for output in graphs.step.outputs]
    return {
        "steps_note": STEPS_NOTE,
        "ids": {"pad": PAD_ID, "bos": BOS_ID, "eos": EOS_ID, "unk": UNK_ID},
        "never_predict": [PAD_ID, BOS_ID],
        # the encoder does it itself
        "reverse_source": bool(getattr(config, "reverse_source", False)),
        "max_positions": graphs.max_positions,
        "encoder": {"file": ENCODER, **_ends(graphs.encoder)},
        "decoder_step": {"file": STEP, **_ends(graphs.step)},
        "states": {name.removeprefix(NEW): name for name in outputs if name.startswith(NEW)},
    }


def _ends(graph: Graph) -> dict[str, Any]:
    """The inputs and outputs of a graph."""
    return {
        "inputs": [item.record() for item in graph.inputs],
        "outputs": [item.record() for item in graph.outputs],
    }
