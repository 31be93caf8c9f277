"""The embedding tables of a model as text files of word2vec, which gensim and others read."""

from pathlib import Path

from s2st.errors import UsageError
from s2st.models.base import Seq2SeqModel
from s2st.models.exported_text import describe_text, write_description
from s2st.models.model_record import ModelRecord
from s2st.process import durable_files
from s2st.text.word_vectors import WordVectors, vector_lines

SUFFIX = ".vec"


def write_word2vec(folder: Path, record: ModelRecord, model: Seq2SeqModel) -> None:
    """Write source.LANG.vec and target.LANG.vec, each if the model has this table, and s2st.json.

    The special tokens and tags of the vocabulary are left out.

    Args:
        folder: an existing, empty folder.
        record: vocabularies and languages of the model, which has a single language pair.
        model: the model.

    Raises:
        UsageError: the model has no embedding tables.
        OutputError: a file cannot be written.
    """
    tables = model.embeddings()
    sides = {
        "source": (tables.source, record.source_vocabulary, record.source_tokenizer),
        "target": (tables.target, record.target_vocabulary, record.target_tokenizer),
    }
    files = {}
    for side, (table, vocabulary, tokenizer) in sides.items():
        if table is None:
            continue
        language = f".{tokenizer.language}" if tokenizer.language else ""
        files[side] = f"{side}{language}{SUFFIX}"
        first = vocabulary.first_word
        numbers = table.weight.detach()[first:].float().cpu().numpy()
        vectors = WordVectors(vocabulary.tokens[first:], numbers)
        with durable_files.Writer(folder / files[side]) as writer:
            for line in vector_lines(vectors):
                writer.write(line.encode())
    if not files:
        raise UsageError(f"--format word2vec: {record.architecture} has no embedding tables")
    write_description(folder, record, {**describe_text(record), "vectors": files})
