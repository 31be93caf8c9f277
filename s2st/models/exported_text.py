"""What a model in another program's format needs for its text: tokenizers, tags, order of words."""

import json
from pathlib import Path
from typing import Any

from s2st.models.model_record import ModelRecord
from s2st.process import durable_files
from s2st.text.tokenizer_files import model_file_name, save_models

DESCRIPTION = "s2st.json"
NOTE = (
    "Tokenize each line as the record of the source tokenizer says, map the tokens to ids, and put "
    "the tokens of source_prefix before them. If reverse_target is true, the model writes the "
    "words of the translation from the last to the first."
)


def describe_text(record: ModelRecord) -> dict[str, Any]:
    """Languages, tokenizers with their files, and the order of words, as JSON values.

    Args:
        record: of a model with a single language pair.
    """
    reads_source = getattr(record.config, "reads_source", True)
    sides = {"target": record.target_tokenizer}
    if reads_source:
        sides["source"] = record.source_tokenizer
    tokenizers = {}
    for side, spec in sides.items():
        file = None if spec.model is None else model_file_name(spec.name, spec.language)
        tokenizers[side] = {**spec.record(), "file": file}
    tag = record.tag
    vocabularies = (record.source_vocabulary, record.target_vocabulary)
    special = [token for v in vocabularies for token in v.tokens[: v.first_word]]
    return {
        "note": NOTE,
        "architecture": record.architecture,
        "source_language": record.source_tokenizer.language if reads_source else None,
        "target_language": record.target_tokenizer.language,
        "tokenizers": tokenizers,
        "special_tokens": list(dict.fromkeys(special)),  # in a text they are unknown words
        "source_prefix": [] if tag is None else [record.source_vocabulary.tokens[tag]],
        "reverse_target": record.config.reverse_target,
    }


def write_description(folder: Path, record: ModelRecord, values: dict[str, Any]) -> None:
    """Write `s2st.json` with these values, and the trained models of the tokenizers."""
    save_models(folder, [side.tokenizer for side in record.sides])
    write_json(folder / DESCRIPTION, values)


def write_json(path: Path, values: Any) -> None:
    """Write JSON as readable UTF-8 text, durably."""
    text = json.dumps(values, ensure_ascii=False, indent=1) + "\n"
    durable_files.write_file(path, text.encode())
