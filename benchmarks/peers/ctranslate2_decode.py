"""Decodes with CTranslate2 a Transformer that s2st converted; run by an interpreter that has it.

    python ctranslate2_decode.py TASK.json

`converted` in the task names the folder and `compute_type` the numbers. CTranslate2 reads tokens,
not ids; the vocabularies are in the folder. Prints the seconds.
"""

import json
from pathlib import Path

import ctranslate2
from tasks import decode, most_words, read_task


def main():
    task = read_task()
    source, target = (
        json.loads((Path(task["converted"]) / f"{side}_vocabulary.json").read_text("utf-8"))
        for side in ("source", "target")
    )
    ids = {word: place for place, word in enumerate(target)}
    translator = ctranslate2.Translator(
        task["converted"], device="cpu", compute_type=task["compute_type"],
        inter_threads=1, intra_threads=task["threads"],
    )  # fmt: skip

    def translate(places):
        found = translator.translate_batch(
            [[source[word] for word in task["sources"][place]] for place in places],
            beam_size=task["beam"], length_penalty=0, min_decoding_length=0,
            max_decoding_length=most_words(task, places) + 1,  # EOS counts
        )  # fmt: skip
        return [[ids[word] for word in result.hypotheses[0]] for result in found]

    decode(task, translate)


main()
