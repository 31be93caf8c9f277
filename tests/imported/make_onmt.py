"""Make the folders onmt-* here: random models of OpenNMT-py, and what it computes with them.

    onmt/bin/python make_onmt.py

benchmarks/README.md says how to install OpenNMT-py. Weights are rounded to float16 first, so that
the files are small.
"""

import json
import logging
import random
import warnings
from argparse import Namespace
from pathlib import Path

warnings.filterwarnings("ignore")
logging.disable(logging.INFO)

import onmt.opts  # noqa: E402
import pyonmttok  # noqa: E402
import torch  # noqa: E402
from onmt.model_builder import build_base_model  # noqa: E402
from onmt.translate import GNMTGlobalScorer  # noqa: E402
from onmt.translate.translator import Translator  # noqa: E402
from onmt.utils.parse import ArgumentParser  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

HERE = Path(__file__).parent
WORDS = {"en": "a b c d e", "fr": "v w x y"}
SPECIAL = ["<unk>", "<blank>", "<s>", "</s>"]
RNN = "-layers 2 -hidden_size 6 -src_word_vec_size 4 -tgt_word_vec_size 5"
# options of the training, the factor of the random weights
CASES = {
    "onmt-general": (f"{RNN} -encoder_type brnn", 2.5),
    "onmt-mlp": (f"{RNN} -encoder_type brnn -global_attention mlp -bridge", 2.5),
    "onmt-gru": (f"{RNN} -rnn_type GRU -global_attention dot -input_feed 0 -bridge", 2.5),
    "onmt-feeding": (
        "-layers 3 -hidden_size 6 -word_vec_size 6 -encoder_type brnn -global_attention none "
        "-bridge -share_decoder_embeddings",
        2.5,
    ),
    "onmt-transformer": (
        "-encoder_type transformer -decoder_type transformer -enc_layers 1 -dec_layers 2 -heads 2 "
        "-hidden_size 8 -word_vec_size 8 -transformer_ff 6 -position_encoding "
        "-position_encoding_type SinusoidalConcat -add_qkvbias -add_ffnbias "
        "-pos_ffn_activation_fn gelu",
        1.0,
    ),
}


def build(command, factor):
    """The options and the model, with weights large enough for various translations."""
    parser = ArgumentParser()
    onmt.opts.model_opts(parser)
    fields = parser.parse_args(command.split())
    fields.update_vocab = fields.freeze_encoder = fields.freeze_decoder = False
    for name in ("src", "tgt"):
        setattr(fields, f"freeze_word_vecs_{'enc' if name == 'src' else 'dec'}", False)
    fields = Namespace(**{"dropout": [0.1], "attention_dropout": [0.1], "world_size": 1,
                          "parallel_mode": "data_parallel", "use_ckpting": [],
                          "feat_merge": "concat", "feat_vec_size": -1, "feat_vec_exponent": 0.7,
                          "optim": "sgd", **vars(fields)})  # fmt: skip
    ArgumentParser.update_model_opts(fields)
    ArgumentParser.validate_model_opts(fields)
    vocabs = {"data_task": "seq2seq", "decoder_start_token": "<s>"}
    for side, language in (("src", "en"), ("tgt", "fr")):
        tokens = SPECIAL + WORDS[language].split()
        vocabs[side] = pyonmttok.build_vocab_from_tokens(tokens)
        vocabs[side].default_id = 0
    model = build_base_model(fields, vocabs).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            values = factor * (2 * torch.rand(parameter.shape) - 1)
            if "layer_norm.weight" in name:
                values = values.abs() + 0.3
            parameter.copy_(values.half().float())
        model.generator.bias[:4] = torch.tensor([-30.0, -30.0, -30.0, -1.0])  # rarely </s>
    return fields, vocabs, model


@torch.no_grad()
def answers(model, vocabs, pairs, searches=(("greedy", 1), ("beam", 4))):
    alpha = Namespace(alpha=0.0, beta=0.0, length_penalty="none", coverage_penalty="none")
    translators = {
        name: Translator(
            model, vocabs, beam_size=beam, max_length_ratio=0, max_length=9,
            random_sampling_topk=1 if beam == 1 else 0, ban_unk_token=True,
            global_scorer=GNMTGlobalScorer.from_opt(alpha),
        )
        for name, beam in searches
    }  # fmt: skip
    found = {"source": [], "target": [], "log_probs": [], **{name: [] for name, _ in searches}}
    for source, target in pairs:
        read = torch.tensor([[vocabs["src"][word] for word in source]]).unsqueeze(2)
        ids = [vocabs["tgt"][word] for word in target] + [vocabs["tgt"]["</s>"]]
        before = torch.tensor([[vocabs["tgt"]["<s>"], *ids]]).unsqueeze(2)
        lengths = torch.tensor([len(source)])
        features = model(read, before, lengths)[0]
        log_probs = model.generator(features)[0].log_softmax(-1)
        log_probs = log_probs.gather(1, torch.tensor(ids).unsqueeze(1)).flatten()
        found["source"].append(" ".join(source))
        found["target"].append(" ".join(target))
        found["log_probs"].append([round(value, 6) for value in log_probs.tolist()])
        for name, translator in translators.items():
            batch = {"src": read, "srclen": lengths}
            best = translator.translate_batch(batch, False)["predictions"][0][0].tolist()
            words = [vocabs["tgt"].ids_to_tokens[number] for number in best]
            found[name].append(" ".join(word for word in words if word != "</s>"))
    return found


def make(name, pairs):
    command, factor = CASES[name]
    for seed in range(200):
        torch.manual_seed(seed)
        fields, vocabs, model = build(command, factor)
        lines = answers(model, vocabs, pairs, (("greedy", 1),))["greedy"]
        if len(set(lines)) > 4:
            break
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(vars(fields), default=str) + "\n")
    tokens = {side: vocabs[side].ids_to_tokens for side in ("src", "tgt")}
    (folder / "vocab.json").write_text(json.dumps(tokens | {"decoder_start_token": "<s>"}) + "\n")
    tensors = {
        key: value.half().clone()
        for key, value in model.state_dict().items()
        if not key.endswith(".pe.pe")
    }
    save_file(tensors, folder / "model.safetensors")
    (folder / "expected.json").write_text(json.dumps(answers(model, vocabs, pairs)) + "\n")


def main():
    torch.set_num_threads(1)
    rng = random.Random(1)
    pairs = [
        [rng.choices(text.split(), k=rng.randint(1, 6)) for text in WORDS.values()]
        for _ in range(12)
    ]
    for name in CASES:
        make(name, pairs)


if __name__ == "__main__":
    main()
