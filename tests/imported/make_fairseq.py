"""Make the folders fairseq-* here: random LSTMs of fairseq, and what fairseq computes with them.

    fairseq/bin/python make_fairseq.py

benchmarks/README.md says how to install fairseq. Weights are rounded to float16 first, so that the
files are small. Translations start with a word, as fairseq's default --min-len 1 demands.
"""

import json
import logging
import random
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

import torch  # noqa: E402
from fairseq import options  # noqa: E402
from fairseq.data import Dictionary  # noqa: E402
from fairseq.dataclass.utils import convert_namespace_to_omegaconf  # noqa: E402
from fairseq.sequence_generator import SequenceGenerator  # noqa: E402
from fairseq.tasks.translation import TranslationTask  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

HERE = Path(__file__).parent
WORDS = {"en": "a b c d e", "fr": "v w x y"}
# attention over a wider bidirectional encoder, a layer before the softmax; no attention, shared
CASES = {
    "fairseq-attention": "--encoder-bidirectional --encoder-layers 2 --decoder-layers 2 "
    "--encoder-embed-dim 4 --decoder-embed-dim 5 --encoder-hidden-size 3 --decoder-hidden-size 5 "
    "--decoder-out-embed-dim 4",
    "fairseq-feeding": "--decoder-attention 0 --encoder-layers 2 --decoder-layers 2 "
    "--encoder-embed-dim 6 --decoder-embed-dim 6 --encoder-hidden-size 6 --decoder-hidden-size 6 "
    "--decoder-out-embed-dim 6 --share-decoder-input-output-embed",
}


def dictionary(language):
    words = Dictionary()
    for word in WORDS[language].split():
        words.add_symbol(word, 5)
    return words


def build(command, words):
    """The options and the model, with weights large enough for various translations."""
    parsed = options.parse_args_and_arch(
        options.get_training_parser(),
        ["nowhere", "-s", "en", "-t", "fr", "--arch", "lstm", *command.split()],
    )
    config = convert_namespace_to_omegaconf(parsed)
    model = TranslationTask(config.task, *words.values()).build_model(config.model).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_((20 * parameter).half().float())
    fields = vars(config.model) if hasattr(config.model, "__dict__") else dict(config.model)
    kept = ("arch", "dropout", "source_lang", "target_lang", "decoder_attention")
    return {name: fields.get(name) for name in kept} | {
        "source_lang": "en",
        "target_lang": "fr",
    }, model


@torch.no_grad()
def answers(model, words, pairs, searches=(("greedy", 1), ("beam", 4))):
    generators = {
        name: SequenceGenerator(
            [model], words["fr"], beam_size=beam, normalize_scores=False, max_len_a=0, max_len_b=9
        )
        for name, beam in searches
    }
    found = {"source": [], "target": [], "log_probs": [], **{name: [] for name, _ in searches}}
    for source, target in pairs:
        read = torch.tensor([[words["en"].index(w) for w in source] + [words["en"].eos()]])
        ids = [words["fr"].index(word) for word in target] + [words["fr"].eos()]
        before = torch.tensor([[words["fr"].eos(), *ids[:-1]]])
        lengths = torch.tensor([read.shape[1]])
        logits = model(read, lengths, before)[0]
        log_probs = logits[0].log_softmax(-1).gather(1, torch.tensor(ids).unsqueeze(1))
        found["source"].append(" ".join(source))
        found["target"].append(" ".join(target))
        found["log_probs"].append([round(value, 6) for value in log_probs.flatten().tolist()])
        sample = {"net_input": {"src_tokens": read, "src_lengths": lengths}}
        for name, generator in generators.items():
            best = generator.generate([model], sample)[0][0]["tokens"].tolist()[:-1]
            found[name].append(" ".join(words["fr"][number] for number in best))
    return found


def main():
    torch.set_num_threads(1)
    rng = random.Random(1)
    pairs = [
        [rng.choices(text.split(), k=rng.randint(1, 6)) for text in WORDS.values()]
        for _ in range(12)
    ]
    words = {language: dictionary(language) for language in WORDS}
    for name, command in CASES.items():
        for seed in range(200):
            torch.manual_seed(seed)
            fields, model = build(command, words)
            lines = answers(model, words, pairs, (("greedy", 1),))["greedy"]
            if len(set(lines)) > 4 and not any("<" in line for line in lines):
                break
        folder = HERE / name
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text(json.dumps(fields) + "\n")
        tensors = {key: value.half().clone() for key, value in model.state_dict().items()}
        save_file(tensors, folder / "model.safetensors")
        for language, own in words.items():
            own.save(str(folder / f"dict.{language}.txt"))
        (folder / "expected.json").write_text(json.dumps(answers(model, words, pairs)) + "\n")


if __name__ == "__main__":
    main()
