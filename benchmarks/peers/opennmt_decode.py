"""Decodes with OpenNMT-py's own translator and the weights of s2st; run by its own interpreter.

    python opennmt_decode.py TASK.json

Its vocabularies and texts are left out: ids go in and come out. Prints the seconds.
"""

from opennmt_model import build_translator, load_model, make_batch
from safetensors.torch import load_file
from tasks import decode, most_words, read_task, source_rows


def main():
    task = read_task()
    model = load_model(task, load_file(task["weights"]))
    translator = build_translator(task, model, task["beam"])

    def translate(places):
        translator.max_length = most_words(task, places) + 1  # EOS counts
        found = translator.translate_batch(make_batch(source_rows(task, places)), False)
        return [best[0].tolist() for best in found["predictions"]]

    decode(task, translate)


main()
