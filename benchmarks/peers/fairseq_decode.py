"""Decodes with fairseq's own sequence generator and the weights of s2st; by its own interpreter.

    python fairseq_decode.py TASK.json

As `fairseq-generate --unnormalized`; beam 1 too, it has no greedy search. Prints the seconds.
"""

from fairseq.sequence_generator import SequenceGenerator
from fairseq_model import load_model, make_sample
from safetensors.torch import load_file
from tasks import BOS, decode, most_words, read_task, source_rows


def main():
    task = read_task()
    translation, model = load_model(task, load_file(task["weights"]))
    generator = SequenceGenerator(
        [model],
        translation.target_dictionary,
        beam_size=task["beam"],
        max_len_a=0,
        normalize_scores=False,
    )

    def translate(places):
        generator.max_len_b = most_words(task, places)
        sample = make_sample(source_rows(task, places))
        found = generator.generate([model], sample, bos_token=BOS)
        return [best[0]["tokens"].tolist() for best in found]

    decode(task, translate)


main()
