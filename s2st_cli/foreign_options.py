"""What to write instead of an option of fairseq, OpenNMT-py, Marian, or an older s2st.

The error for an unknown option looks its name up here. `tests/cli/test_cli_foreign_options.py`
compares the table with the options that exist, and with `docs/other-toolkits.md`.
"""

import re
from collections.abc import Collection, Mapping, Sequence

from s2st.errors import UsageError

_ONE_DASH = re.compile(r"-[A-Za-z][\w-]+(=.*)?", re.DOTALL)
NOTHING = "no option: "  # begins the entry of an option that s2st does not need
_RANKS = "torchrun --nproc-per-node N -m s2st_cli train DATA"
_NO_LOSS = f"{NOTHING}s2st drops no line"
_IN_CHECKPOINT = f"{NOTHING}the checkpoint holds vocabularies and tokenizer"
_IN_STORE = f"{NOTHING}the store holds it"
_ON_PIPES = f"{NOTHING}there is no progress bar on a pipe; SAVE_DIR/metrics.jsonl has all figures"
_NEW_RUN = "--finetune-from CHECKPOINT"
_GUIDED = "--criterion guided-alignment --alignment-lexicon FILE"
_TOP_LAYER = f"{NOTHING}--criterion guided-alignment guides the mean of the top layer's heads"

# command -> option without its dashes, with "-" for "_" -> what s2st has instead
FAIRSEQ: Mapping[str, Mapping[str, str]] = {
    "preprocess": {
        "bpe": "--tokenizer subword-nmt --bpe-codes FILE",
        "dataset-impl": f"{NOTHING}there is one format of stores",
        "only-source": "--only-target, with the text as target side",
    },
    "train": {
        "adam-betas": "--adam-beta1 X --adam-beta2 X",
        "alignment-heads": _TOP_LAYER,
        "alignment-lambda": f"{_GUIDED} --alignment-weight X",
        "alignment-layer": _TOP_LAYER,
        "amp": "--precision bfloat16",
        "bf16": "--precision bfloat16",
        "cpu": "--device cpu",
        "dataset-impl": _IN_STORE,
        "ddp-backend": _RANKS,
        "decoder-attention": "--arch lstm-attention; --arch lstm has no attention",
        "decoder-attention-heads": "--heads N",
        "decoder-embed-dim": "--embedding-size N (--hidden-size N for --arch transformer)",
        "decoder-embed-path": "--target-embeddings FILE",
        "decoder-ffn-embed-dim": "--feedforward-size N",
        "decoder-hidden-size": "--hidden-size N",
        "decoder-normalize-before": "--norm pre",
        "distributed-world-size": _RANKS,
        "encoder-attention-heads": "--heads N",
        "encoder-bidirectional": "--bidirectional",
        "encoder-embed-dim": "--embedding-size N (--hidden-size N for --arch transformer)",
        "encoder-embed-path": "--source-embeddings FILE",
        "encoder-ffn-embed-dim": "--feedforward-size N",
        "encoder-layers": "--layers N",
        "encoder-normalize-before": "--norm pre",
        "eval-bleu": "--best-checkpoint-metric bleu",
        "eval-bleu-args": "--validate-beam N",
        "eval-bleu-print-samples": "--validate-samples N",
        "finetune-from-model": _NEW_RUN,
        "fp16": "--precision bfloat16",
        "keep-best-checkpoints": "--keep-best N",
        "keep-interval-updates": "--keep-last N",
        "keep-last-epochs": "--keep-last N",
        "load-alignments": _GUIDED,
        "log-format": _ON_PIPES,
        "lr-patience": "--plateau-patience N",
        "lr-shrink": "--plateau-factor X",
        "max-sentences": "--batch-size N",
        "max-source-positions": "preprocess --max-length N",
        "max-target-positions": "preprocess --max-length N",
        "maximize-best-checkpoint-metric": f"{NOTHING}each metric knows which side is better",
        "memory-efficient-fp16": "--precision bfloat16",
        "no-epoch-checkpoints": "--keep-last 1",
        "no-progress-bar": _ON_PIPES,
        "num-workers": f"{NOTHING}batches are read from mapped memory",
        "reduce-lr-on-plateau": "--lr-scheduler plateau",
        "reset-dataloader": _NEW_RUN,
        "reset-lr-scheduler": _NEW_RUN,
        "reset-meters": _NEW_RUN,
        "reset-optimizer": _NEW_RUN,
        "restore-file": f"the same command again to resume a run; {_NEW_RUN} for a new run",
        "sentence-avg": "--normalization sentences",
        "share-all-embeddings": "--tie-embeddings all, after preprocess --joined-dictionary",
        "share-decoder-input-output-embed": "--tie-embeddings output",
        "skip-invalid-size-inputs-valid-test": _NO_LOSS,
        "source-lang": _IN_STORE,
        "stop-time-hours": "--max-time HOURS",
        "target-lang": _IN_STORE,
        "task": f"{NOTHING}the store tells what the task is",
        "tensorboard-logdir": "--tensorboard",
        "user-dir": "--plugin MODULE",
    },
    "generate": {
        "bpe": _IN_CHECKPOINT,
        "bpe-codes": _IN_CHECKPOINT,
        "bf16": "--precision bfloat16",
        "cpu": "--device cpu",
        "dataset-impl": f"{NOTHING}generate reads text",
        "fp16": "--precision bfloat16",
        "gen-subset": "the text on standard input",
        "input": "the file as an argument",
        "match-source-len": "--max-len-a 1 --max-len-b 0",
        "max-sentences": "--batch-size N",
        "max-tokens": "--batch-size N",
        "model-overrides": _IN_CHECKPOINT,
        "post-process": f"{NOTHING}the output is text; --no-detokenize keeps the subwords",
        "prefix-size": "--prefix FILE",
        "print-alignment": "--alignments FILE",
        "quiet": f"{NOTHING}standard output has translations only",
        "remove-bpe": f"{NOTHING}the output is text; --no-detokenize keeps the subwords",
        "results-path": "--output-file FILE",
        "sacrebleu": "score HYP --ref REF",
        "sampling": "--search sampling",
        "sampling-topk": "--search sampling --top-k N",
        "sampling-topp": "--search sampling --top-p X",
        "score-reference": "score --checkpoint M --source FILE --target FILE",
        "scoring": "score HYP --ref REF",
        "seed": "--search sampling --sampling-seed N",
        "sentencepiece-model": _IN_CHECKPOINT,
        "skip-invalid-size-inputs-valid-test": _NO_LOSS,
        "task": f"{NOTHING}the checkpoint tells what the task is",
        "unkpen": "--no-unk",
        "user-dir": "--plugin MODULE",
    },
    "score": {
        "ignore-case": "--lowercase",
        "sacrebleu": "--ref REF; sacreBLEU's BLEU is printed always",
        "sys": "the file of hypotheses as an argument",
    },
}
OPENNMT: Mapping[str, Mapping[str, str]] = {
    "preprocess": {
        "save-data": "--destdir FOLDER",
        "share-vocab": "--joined-dictionary",
        "src-seq-length": "--max-length N",
        "src-vocab": "--srcdict FILE",
        "src-vocab-size": "--nwordssrc N",
        "src-words-min-frequency": "--thresholdsrc N",
        "tgt-seq-length": "--max-length N",
        "tgt-vocab": "--tgtdict FILE",
        "tgt-vocab-size": "--nwordstgt N",
        "tgt-words-min-frequency": "--thresholdtgt N",
        "train-src": "--trainpref PREFIX, for PREFIX.LANG of both languages",
        "train-tgt": "--trainpref PREFIX, for PREFIX.LANG of both languages",
        "valid-src": "--validpref PREFIX, for PREFIX.LANG of both languages",
        "valid-tgt": "--validpref PREFIX, for PREFIX.LANG of both languages",
    },
    "train": {
        "accum-count": "--update-freq N",
        "alignment-heads": _TOP_LAYER,
        "alignment-layer": _TOP_LAYER,
        "average-decay": "--ema-decay X",
        "batch-type": "--batch-size N for sentences, --max-tokens N for tokens",
        "data": "the store as an argument",
        "dec-layers": "--layers N",
        "decoder-type": "--arch NAME",
        "early-stopping": "--patience N",
        "enc-layers": "--layers N",
        "encoder-type": "--arch NAME, and --bidirectional for brnn",
        "freeze-word-vecs-dec": "--freeze-embeddings",
        "freeze-word-vecs-enc": "--freeze-embeddings",
        "global-attention": "--arch lstm-attention --attention additive (mlp), dot, general, none",
        "gpu-ranks": _RANKS,
        "input-feed": "--arch lstm-attention --input-feeding",
        "keep-checkpoint": "--keep-last N",
        "lambda-align": f"{_GUIDED} --alignment-weight X",
        "learning-rate": "--lr X",
        "learning-rate-decay": "--lr-scheduler plateau --plateau-factor X",
        "max-grad-norm": "--clip-norm X",
        "model-dtype": "--precision bfloat16",
        "optim": "--optimizer NAME",
        "pre-word-vecs-dec": "--target-embeddings FILE",
        "pre-word-vecs-enc": "--source-embeddings FILE",
        "report-every": "--log-interval N",
        "rnn-size": "--hidden-size N",
        "rnn-type": "--arch lstm or --arch gru",
        "save-checkpoint-steps": "--save-interval-updates N",
        "save-model": "--save-dir FOLDER",
        "share-decoder-embeddings": "--tie-embeddings output",
        "share-embeddings": "--tie-embeddings all, after preprocess --joined-dictionary",
        "src-vocab": _IN_STORE,
        "start-decay-steps": "--lr-scheduler NAME (plateau, fixed, halve-after, inverse-sqrt)",
        "tensorboard-log-dir": "--tensorboard",
        "tgt-vocab": _IN_STORE,
        "train-from": f"the same command again to resume a run; {_NEW_RUN} for a new run",
        "train-steps": "--max-update N",
        "transformer-ff": "--feedforward-size N",
        "valid-batch-size": f"{NOTHING}--batch-size and --max-tokens hold for validation too",
        "valid-steps": "--validate-interval-updates N",
        "warmup-steps": "--lr-scheduler inverse-sqrt --warmup-updates N",
        "word-vec-size": "--embedding-size N",
        "world-size": _RANKS,
    },
    "generate": {
        "alpha": "--lenpen X",
        "avg-raw-probs": "--ensemble-mode MODE",
        "ban-unk-token": "--no-unk",
        "beam-size": "--beam N",
        "block-ngram-repeat": "--no-repeat-ngram-size N",
        "gpu": "--device cuda",
        "length-penalty": "--lenpen 1 for avg; --length-normalization wu --lenpen X for wu",
        "max-length": "--max-len-a 0 --max-len-b N",
        "min-length": "--min-len N",
        "model": "--checkpoint CHECKPOINT",
        "n-best": "--nbest N --format moses",
        "output": "--output-file FILE",
        "phrase-table": "--replace-unk --unk-dictionary FILE",
        "random-sampling-temp": "--search sampling --temperature X",
        "random-sampling-topk": "--search sampling --top-k N",
        "random-sampling-topp": "--search sampling --top-p X",
        "report-align": "--alignments FILE",
        "src": "the file as an argument",
        "tgt": "score --checkpoint M --source FILE --target FILE, for log-probabilities",
        "verbose": "--format json",
    },
}
MARIAN: Mapping[str, Mapping[str, str]] = {
    "train": {
        "after-batches": "--max-update N",
        "after-epochs": "--max-epoch X",
        "cpu-threads": "--threads N",
        "dec-depth": "--layers N",
        "devices": _RANKS,
        "dim-emb": "--embedding-size N (--hidden-size N for --arch transformer)",
        "dim-rnn": "--hidden-size N",
        "disp-freq": "--log-interval N",
        "embedding-vectors": "--source-embeddings FILE --target-embeddings FILE",
        "enc-depth": "--layers N",
        "exponential-smoothing": "--ema-decay X",
        "guided-alignment": _GUIDED,
        "guided-alignment-cost": f"{NOTHING}the alignment loss is a cross entropy",
        "guided-alignment-weight": f"{_GUIDED} --alignment-weight X",
        "learn-rate": "--lr X",
        "lr-decay-inv-sqrt": "--lr-scheduler inverse-sqrt",
        "lr-warmup": "--lr-scheduler inverse-sqrt --warmup-updates N",
        "mini-batch": "--batch-size N",
        "mini-batch-fit": "--max-tokens auto",
        "mini-batch-words": "--max-tokens N",
        "model": "--save-dir FOLDER",
        "optimizer-delay": "--update-freq N",
        "pretrained-model": _NEW_RUN,
        "save-freq": "--save-interval-updates N",
        "tied-embeddings": "--tie-embeddings output",
        "tied-embeddings-all": "--tie-embeddings all, after preprocess --joined-dictionary",
        "train-sets": "preprocess --trainpref PREFIX, then the store as an argument",
        "transformer-dim-ffn": "--feedforward-size N",
        "transformer-heads": "--heads N",
        "type": "--arch NAME",
        "valid-freq": "--validate-interval-updates N",
        "valid-metrics": "--best-checkpoint-metric NAME",
        "valid-sets": "preprocess --validpref PREFIX",
        "vocabs": _IN_STORE,
    },
    "generate": {
        "alignment": "--alignments FILE",
        "allow-unk": "--unk",
        "beam-size": "--beam N",
        "cpu-threads": "--threads N",
        "maxi-batch": "--buffer-size N",
        "max-length-factor": "--max-len-a X",
        "mini-batch": "--batch-size N",
        "models": "--checkpoint CHECKPOINT, once for each model",
        "n-best": "--nbest N --format moses",
        "normalize": "--lenpen X",
        "output-sampling": "--search sampling",
        "vocabs": _IN_CHECKPOINT,
        "weights": "--ensemble-weight X, once for each model",
    },
}
_JSON = {"json": "--format json"}
FORMER: Mapping[str, Mapping[str, str]] = {
    "average": {"output": "--output-folder FOLDER"},
    "rescore-nbest": {"output": "--format 1best, nbest or words"},
    "train-ngram": {"output": "--output-file FILE"},
    **dict.fromkeys(
        ("attention", "compare", "lengths", "neighbors", "rarity", "score", "states",
         "tune-length"), _JSON,
    ),
}  # fmt: skip
TOOLKITS: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "fairseq": FAIRSEQ,
    "OpenNMT-py": OPENNMT,
    "Marian": MARIAN,
    "an older s2st": FORMER,
}


def advice(command: str, flag: str) -> str | None:
    """Return the message for an unknown option that another program has; None for all others.

    Args:
        command: name of the subcommand.
        flag: the option as the user wrote it, such as "--max_len" or "-beam_size".
    """
    name = _name(flag)
    found: dict[str, list[str]] = {}
    for toolkit, commands in TOOLKITS.items():
        ours = commands.get(command, {}).get(name)
        if ours is not None:
            found.setdefault(ours, []).append(toolkit)
    if not found:
        return None
    texts = [f"of {' and '.join(whose)}; {_instead(ours)}" for ours, whose in found.items()]
    return f"{flag} is an option {'; and '.join(texts)}"


def check_dashes(command: str, arguments: Sequence[str], flags: Collection[str]) -> None:
    """Refuse long options with one dash, which click reads as a short one: -o utput.

    Args:
        command: name of the subcommand.
        arguments: its arguments, not yet parsed.
        flags: the options that it has.

    Raises:
        UsageError: there is such an option, of s2st or of another program.
    """
    for argument in arguments:
        if argument == "--":
            return
        if argument in flags or not _ONE_DASH.fullmatch(argument):
            continue
        flag = argument.partition("=")[0]
        long = f"--{_name(argument)}"
        if long in flags:
            raise UsageError(f"{flag}: write {long}, with two dashes")
        message = advice(command, flag)
        if message is not None:
            raise UsageError(message)


def _instead(ours: str) -> str:
    reason = ours.removeprefix(NOTHING)
    return f"use {ours}" if reason == ours else f"leave it out: {reason}"


def _name(flag: str) -> str:
    """The name in the tables of an option as a user wrote it."""
    return flag.lstrip("-").partition("=")[0].replace("_", "-")
