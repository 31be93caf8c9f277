"""Small models, scorers, batches and stores for tests; sizes differ from each other on purpose."""

from collections.abc import Mapping
from dataclasses import fields, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fakes import text_side
from ngram_models import tiny_ngrams

from s2st.data.batch import Batch, SourceBatch, make_batch, make_source
from s2st.data.parallel_corpus import ParallelCorpus, Side
from s2st.data.preprocess import write_store
from s2st.data.preprocess_options import PreprocessConfig
from s2st.errors import DataError
from s2st.models.base import ModelSizes, Seq2SeqModel
from s2st.models.configs import EnsembleConfig
from s2st.models.model_building import build_model
from s2st.models.model_record import ModelRecord
from s2st.models.registry import ARCHITECTURES
from s2st.options.option_fields import config_values, option_specs
from s2st.scoring.base import Scorer
from s2st.scoring.ensemble_scorer import EnsembleScorer
from s2st.scoring.model_scorer import ModelScorer
from s2st.text.tokenizers import NoneConfig, TokenizerSpec
from s2st.text.vocabulary import Vocabulary

SOURCE_WORDS = "a b c d e f"
TARGET_WORDS = "v w x y"
# dropout is not zero, so a test notices a model that is not in evaluation mode
TINY = {"layers": 1, "hidden_size": 6, "embedding_size": 4, "dropout": 0.3}

ATTENTIONS: tuple[dict[str, Any], ...] = (
    {"attention": "additive"},
    {"attention": "additive", "input_feeding": True, "layers": 2, "attention_heads": 2},
    {"attention": "additive", "attention_heads": 3, "layers": 2, "bidirectional": False},
    {"attention": "dot", "bidirectional": False, "layers": 2},
    {"attention": "general", "input_feeding": True, "attention_heads": 3},
    {"attention": "general", "layers": 2, "attention_heads": 2},
    {
        "attention": "none", "input_feeding": True, "layers": 2, "encoder_hidden_size": 8,
        "bridge": "linear", "output_bias": True, "source_eos": False,
    },
    {"attention": "none", "bridge": "relu", "layers": 2, "bidirectional": False},
    {
        "attention": "additive", "input_feeding": True, "attention_query": "current-state",
        "attention_bias": True, "attention_output": "linear", "encoder_hidden_size": 4,
        "bridge": "relu", "source_eos": False, "attention_heads": 2,
    },
)  # fmt: skip

# beside all depths, directions and contexts of the plain ones
RECURRENT: tuple[dict[str, Any], ...] = (
    {"layers": 2, "bidirectional": True, "residual": True},
    {"layers": 2, "residual": True, "layer_norm": True, "context": "every-step"},
    {
        "layers": 3, "bidirectional": True, "layer_norm": True, "residual": True,
        "recurrent_dropout": 0.3, "softmax": "sampled", "softmax_samples": 5,
        "embedding_size": 6, "tie_embeddings": "output", "context": "every-step",
    },
    {"bidirectional": True, "recurrent_dropout": 0.3, "softmax": "adaptive"},
)  # fmt: skip

# heads divide the width of 6; the two sides' vocabularies differ, so not all can be shared
TRANSFORMERS: tuple[dict[str, Any], ...] = (
    {"norm": "pre", "heads": 2, "layers": 1},
    {"norm": "pre", "heads": 3, "layers": 2, "feedforward_size": 5},
    {"norm": "post", "heads": 1, "layers": 1, "attention_dropout": 0.2},
    {"norm": "post", "heads": 2, "layers": 2, "tie_embeddings": "output"},
    {
        "norm": "post", "heads": 2, "layers": 1, "decoder_layers": 2, "activation": "silu",
        "positions": "half-sinusoids", "output_bias": True, "tie_embeddings": "output",
    },
    {
        "heads": 3, "layers": 2, "activation": "gelu-tanh", "positions": "learned",
        "max_positions": 40, "scale_embeddings": False, "output_bias": True,
        "source_eos": False, "norm_epsilon": 0.01,
    },
)  # fmt: skip


def trainable() -> list[str]:
    """Every registered architecture and preset that has weights of its own."""
    return [e.name for e in ARCHITECTURES.entries() if e.config_type is not EnsembleConfig]


def variants(name: str) -> list[Any]:
    """Tiny configs of an architecture: depth, direction and context varied where not preset."""
    entry = ARCHITECTURES.get(name)
    specs = {spec.name: spec for spec in option_specs(entry.config_type)}
    choices: dict[str, tuple[Any, ...]] = {"layers": (1, 2), "reverse_source": (False, True)}
    for cells in ("context", "cell", "decoder_cell", "nonlinearity"):
        if cells in specs:
            choices[cells] = specs[cells].choices
    choices = {k: v for k, v in choices.items() if k in specs and k not in entry.overrides}
    sizes: dict[str, Any] = {k: v for k, v in TINY.items() if k in specs}
    if "largest_kernel" in specs:
        sizes["largest_kernel"] = 3  # which sentences of six tokens repeat
    if "layers" in entry.overrides:
        sizes.pop("layers", None)
    if "input_feeding" in specs:
        return [entry.config_type(**{**sizes, **values}) for values in ATTENTIONS]
    if "heads" in specs:
        chosen = TRANSFORMERS[3:4] if entry.overrides else TRANSFORMERS
        return [entry.config_type(**{**entry.overrides, **sizes, **values}) for values in chosen]
    made = []
    for values in product(*choices.values()):
        chosen = dict(zip(choices, values, strict=True))
        if chosen.get("cell", "rnn") != "rnn" and chosen["nonlinearity"] != "tanh":
            continue  # only vanilla cells have a choice
        made.append(entry.config_type(**{**entry.overrides, **sizes, **chosen}))
    if "recurrent_dropout" in specs and not entry.overrides:
        made += [entry.config_type(**{**sizes, **values}) for values in RECURRENT]
    return made


def reads_source(scored: Any) -> bool:
    """Whether the architecture of a model, or of a scorer of one model, reads a source."""
    if isinstance(scored, Scorer) and scored.source.absent:
        return False
    config = getattr(getattr(scored, "model", scored), "config", None)
    return getattr(config, "reads_source", True)


def describe(name: str, config: Any) -> str:
    """A test id such as lstm-2-reversed-every-step."""
    shown = [name, str(getattr(config, "layers", ""))]
    if getattr(config, "reverse_source", False):
        shown.append("reversed")
    shown += [
        flag
        for flag in ("bidirectional", "residual", "layer_norm")
        if has_field(config, "recurrent_dropout") and getattr(config, flag)
    ]
    if has_field(config, "input_feeding"):
        shown.append(f"{config.attention}-{config.attention_heads}")
        shown += [config.bridge] if config.bridge != "none" else []
    if has_field(config, "norm"):
        shown += [config.norm, str(config.heads), config.positions]
    shown += [str(getattr(config, name, "")) for name in ("context", "cell", "decoder_cell")]
    shown.append("sigmoid" if getattr(config, "nonlinearity", "tanh") == "sigmoid" else "")
    return "-".join(filter(None, shown))


def model(
    name: str,
    config: Any,
    seed: int = 0,
    sizes: ModelSizes | None = None,
    dtype: torch.dtype = torch.float64,
) -> Seq2SeqModel:
    """A model with large random weights, so that its choices are far from even."""
    if sizes is None:
        sizes = ModelSizes(4 + len(SOURCE_WORDS.split()), 4 + len(TARGET_WORDS.split()))
    made = build_model(name, config, sizes).to(dtype)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in made.parameters():
            values = torch.rand(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.copy_(2 * values - 1)
    return made


def scorer(
    name: str,
    config: Any,
    seed: int = 0,
    source_words: str = SOURCE_WORDS,
    target_words: str = TARGET_WORDS,
    device: str = "cpu",
) -> ModelScorer:
    """A tiny model as a Scorer in float64."""
    source, target = text_side(source_words, "en"), text_side(target_words, "fr")
    sizes = ModelSizes(len(source.vocabulary), len(target.vocabulary))
    return ModelScorer(model(name, config, seed, sizes).to(device), source, target)


def mixed_members(device: str = "cpu") -> list[Scorer]:
    """A forward LSTM, a reversed one with permuted target words, a GRU with other source words."""
    lstm, gru = ARCHITECTURES.get("lstm").config_type, ARCHITECTURES.get("gru").config_type
    return [
        scorer("lstm", lstm(**TINY), 1, device=device),
        scorer("lstm", lstm(**TINY, reverse_source=True), 2, target_words="y v x w", device=device),
        scorer(
            "gru", gru(**{**TINY, "layers": 2}, context="every-step"), 3, "b z a q", device=device
        ),
    ]


def all_scorers() -> dict[str, Scorer]:
    """One scorer for each variant of each architecture, and some ensembles."""
    made: dict[str, Scorer] = {}
    for name in trainable():
        for index, config in enumerate(variants(name)):
            made[describe(name, config)] = scorer(name, config, index)
    members = mixed_members()
    made["ngram"] = tiny_ngrams(TARGET_WORDS)
    for mode in ("probability", "log-probability"):
        made[f"ensemble-{mode}"] = EnsembleScorer(members, mode=mode)
        made[f"ensemble-weights-{mode}"] = EnsembleScorer(members, [3.0, 0.5, 1.0], mode)
    return made


def random_sentences(count: int, size: int, seed: int, longest: int = 5) -> list[list[int]]:
    """Random word ids below `size`, unk included; among them an empty sentence."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, longest + 1, count)
    lengths[count // 2] = 0
    return [rng.integers(3, size, length).tolist() for length in lengths]


def sources_for(scorer: Scorer, count: int = 5, seed: int = 0) -> list[list[int]]:
    """Random sources for a scorer."""
    return random_sentences(count, len(scorer.source.vocabulary), seed)


def batch_for(scorer: Scorer, count: int = 5, seed: int = 0) -> Batch:
    """Random pairs for a scorer, which it can have."""
    sources = sources_for(scorer, count, seed)
    size = len(scorer.target.vocabulary)
    return pairs_of(sources, size, seed + 100, equal_lengths(getattr(scorer, "model", None)))


def pairs_of(sources: list[list[int]], size: int, seed: int, equal: bool) -> Batch:
    """The sources with random targets of words below `size`, each as long as its source or not."""
    targets = random_sentences(len(sources), size, seed)
    targets = targets[1:] + targets[:1]  # the empty target's source is not empty
    if equal:
        rng = np.random.default_rng(seed)
        targets = [rng.integers(3, size, len(source)).tolist() for source in sources]
    return make_batch(sources, targets, range(len(sources)))


def equal_lengths(model: Seq2SeqModel | None) -> bool:
    """Whether the model refuses pairs whose sides are not equally long."""
    if model is None:
        return False
    try:
        model.check_pairs(make_batch([[4, 5]], [[4]], [0]))
    except DataError:
        return True
    return False


def source_batch(rows: list[list[int]]) -> SourceBatch:
    """Sources numbered from 0."""
    return make_source(rows, range(len(rows)))


def more_padding(source: SourceBatch, columns: int = 3) -> SourceBatch:
    """The same sources with more padding."""
    padding = torch.zeros((len(source), columns), dtype=torch.int64)
    return replace(source, tokens=torch.cat([source.tokens, padding], dim=1))


def corpus(sources: list[list[int]], targets: list[list[int]]) -> ParallelCorpus:
    """A split held in memory."""
    return ParallelCorpus(_side(sources), _side(targets))


def _side(rows: list[list[int]]) -> Side:
    ids = np.array([i for row in rows for i in row], dtype=np.int32)
    offsets = np.cumsum([0] + [len(row) for row in rows]).astype(np.int64)
    return Side(ids, offsets)


def record(name: str, config: Any) -> ModelRecord:
    """The record of a tiny model over the words above."""
    sides = []
    for words in (SOURCE_WORDS.split(), TARGET_WORDS.split()):
        sides.append(Vocabulary(words, [1] * len(words)))
    specs = [TokenizerSpec("none", NoneConfig(), language) for language in ("en", "fr")]
    return ModelRecord(name, config, sides[0], sides[1], specs[0], specs[1])


def store(folder: Path, pairs: int = 24, seed: int = 0) -> str:
    """A store of random pairs written by `preprocess`, with a valid split; its path."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for split, count in (("train", pairs), ("valid", 5)):
        for language, words in (("en", SOURCE_WORDS), ("fr", TARGET_WORDS)):
            lines = [" ".join(rng.choice(words.split(), rng.integers(1, 6))) for _ in range(count)]
            (folder / f"{split}.{language}").write_text("\n".join(lines) + "\n")
    return prepare_again(folder)


def equal_pairs(folder: Path, words: Mapping[str, str], seed: int = 0) -> None:
    """Texts of pairs with equally long sides, which every architecture can have."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for split, count in (("train", 24), ("valid", 5)):
        lengths = rng.integers(1, 6, count)
        for language, chosen in words.items():
            lines = [" ".join(rng.choice(chosen.split(), length)) for length in lengths]
            (folder / f"{split}.{language}").write_text("".join(f"{line}\n" for line in lines))


def options_of(name: str) -> dict[str, Any]:
    """The options of a tiny model of an architecture, for `train`."""
    values = config_values(variants(name)[0])
    return {"arch": name, **{k: v for k, v in values.items() if v is not None}}


def prepare_again(folder: Path) -> str:
    """A store of the text in the folder; its path."""
    config = PreprocessConfig(
        source_lang="en", target_lang="fr", trainpref=(str(folder / "train"),),
        validpref=(str(folder / "valid"),), destdir=str(folder / "store"),
    )  # fmt: skip
    specs = [TokenizerSpec("none", NoneConfig(), language) for language in ("en", "fr")]
    write_store(config, specs[0], specs[1])
    return str(folder / "store")


def has_field(config: Any, name: str) -> bool:
    """Whether a config has an option of that name."""
    return any(field.name == name for field in fields(config))
