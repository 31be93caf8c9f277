"""Loaded models: `load` and the methods of `Model`, which call the jobs of the commands."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from numbers import Integral
from typing import TYPE_CHECKING

from s2st.api.arguments import (
    Path,
    lines_of,
    load_plugins,
    paths_of,
    phrase_lines,
    sources_of,
)
from s2st.api.hypotheses import END, hypotheses_of
from s2st.api.keywords import Option, resolved_keywords
from s2st.api.records import (
    AttentionMap,
    Candidate,
    Choice,
    Explanation,
    Hypothesis,
    PairScore,
    Rescoring,
)
from s2st.api.translate_options import refuse, search_of, translate_options, with_beam
from s2st.errors import UsageError
from s2st.jobs.generate import translate_lines
from s2st.jobs.load_models import LoadedModels, load_models
from s2st.jobs.options import MODELS_SPEC
from s2st.jobs.score import score_lines
from s2st.options.option_fields import shown
from s2st.process.consistent_reads import one_run
from s2st.process.device import ScoringDeviceConfig
from s2st.process.torch_import import import_torch

if TYPE_CHECKING:
    from s2st.api.arguments import Sources
    from s2st.api.records import Floats
    from s2st.jobs.translation_tasks import Translation


def load(
    paths: Path | Sequence[Path],
    *,
    ensemble_weight: Sequence[float] = (),
    ensemble_mode: str = "probability",
    source_lang: str | None = None,
    target_lang: str | None = None,
    device: str = "auto",
    precision: str = "float32",
    threads: int | None = None,
    plugin: Sequence[str] = (),
) -> "Model":
    """Load one model, or several as an ensemble. The arguments are options of `s2st generate`.

    Args:
        paths: a checkpoint folder, an ARPA file, or a TOML file of an ensemble; or several of them.
        ensemble_weight: weight of each path, in order; equal by default.
        ensemble_mode: "probability" or "log-probability", what the ensemble averages.
        source_lang: the source language, for a model with several.
        target_lang: the target language, for a model with several.
        device: "auto" (a GPU if there is one), "cpu" or "cuda".
        precision: "float32", "bfloat16" or "int8".
        threads: number of CPU threads of the whole process; None leaves torch's number.
        plugin: modules that register the components of the model.

    Raises:
        InputMissingError, CheckpointError: a path cannot be read, or is no model.
        UsageError: the models do not go together, or an argument has a wrong value.
    """
    options: dict[str, Option] = {
        "checkpoint": paths_of(paths, "paths"),
        "ensemble_weight": ensemble_weight,
        "ensemble_mode": ensemble_mode,
        "source_lang": source_lang,
        "target_lang": target_lang,
        "device": device,
        "precision": precision,
        "threads": threads,
    }
    load_plugins(plugin)
    resolved = resolved_keywords("s2st.load()", MODELS_SPEC, options)
    import_torch()
    from s2st.process.device import setup_device

    with one_run():
        chosen = setup_device(resolved.config(ScoringDeviceConfig))
        return Model(load_models(resolved, chosen))


class Model:
    """A model or an ensemble in memory; `s2st.load` makes it.

    A model holds no files open and needs no closing. Several threads may use it at the same time.
    Keywords of the methods are the options of the commands, with "_" for "-".
    """

    def __init__(self, models: LoadedModels) -> None:
        self._models = models

    def __repr__(self) -> str:
        what = f"{self.source_lang} to {self.target_lang}" if self.source_lang else self.target_lang
        return f"<s2st.Model {':'.join(self.paths)} ({what or 'languages not stated'})>"

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths that the model was loaded from."""
        return tuple(self._models.config.paths())

    @property
    def source_lang(self) -> str:
        """The source language, "" for a language model or if the model does not state it."""
        side = self._models.scorer.source
        return "" if side.absent else side.language

    @property
    def source_vector_size(self) -> int:
        """Size of the vectors that the model reads as a source; 0 for text."""
        return self._models.scorer.source.tokenizer.vector_size

    @property
    def target_lang(self) -> str:
        """The target language, "" if the model does not state it."""
        return self._models.scorer.target.language

    def translate(
        self,
        lines: "Sources",
        *,
        prefix: Iterable[str] | None = None,
        constraints: Iterable[Sequence[str]] | None = None,
        **options: Option,
    ) -> list[str]:
        """Return the best translation of each line: the lines that `s2st generate` writes.

        A language model continues each line instead.

        Args:
            lines: the text; an empty line stays empty. For a model of `preprocess
                --source-vectors`, an array (L, D) for each line.
            prefix: for each line the beginning of its translation, "" for any.
            constraints: for each line the phrases that its translation must contain.
            options: options of `s2st generate`, such as `beam=5`, `search="greedy"`.

        Raises:
            UsageError: wrong arguments, or options that the model does not support.
            DataError: a line cannot be used.
        """
        refuse(options, "translate", "nbest", "call Model.nbest for several hypotheses")
        found = self._translations("translate", lines, prefix, constraints, options)
        return [translation.texts[0] for translation in found]

    def nbest(
        self,
        lines: "Sources",
        n: int = 5,
        *,
        prefix: Iterable[str] | None = None,
        constraints: Iterable[Sequence[str]] | None = None,
        **options: Option,
    ) -> list[list[Hypothesis]]:
        """Return at most n hypotheses of each line, best first, as `s2st generate --nbest` does.

        Args:
            lines: the text.
            n: number of hypotheses. The beam is at least n, unless the options name one.
            prefix: see `translate`.
            constraints: see `translate`.
            options: see `translate`.

        Raises:
            UsageError, DataError: see `translate`.
        """
        refuse(options, "nbest", "nbest", "use the argument n")
        wider = with_beam({**options, "nbest": n}, n)
        found = self._translations("nbest", lines, prefix, constraints, wider)
        return [hypotheses_of(translation) for translation in found]

    def sample(self, lines: "Sources", n: int = 1, **options: Option) -> list[list[Hypothesis]]:
        """Return n random translations of each line, as `s2st generate --search sampling` does.

        Equal arguments give equal samples. The hypotheses are sorted by score.

        Args:
            lines: the text.
            n: number of samples.
            options: options of the search, such as `temperature=0.8`, `top_k`, `top_p`,
                `sampling_seed=2`.

        Raises:
            UsageError, DataError: see `translate`.
        """
        refuse(options, "sample", "nbest", "use the argument n")
        refuse(options, "sample", "search", "call Model.nbest for another search")
        given = {**options, "search": "sampling", "nbest": n}
        found = self._translations("sample", lines, None, None, given)
        return [hypotheses_of(translation) for translation in found]

    def score(self, sources: "Sources | None", targets: Iterable[str]) -> list[PairScore]:
        """Return log p(target | source) of each pair of lines, as `s2st score --checkpoint` does.

        Args:
            sources: the source lines, or arrays as in `translate`; None for a language model.
            targets: as many target lines.

        Raises:
            UsageError: wrong arguments, or the model needs sources.
            DataError: sources and targets differ in number.
        """
        import numpy as np

        side = self._models.scorer.source
        texts = None if sources is None else sources_of(sources, side, "sources")
        found = score_lines(self._models.scorer, texts, lines_of(targets, "targets"))
        return [
            PairScore(
                pair.log_prob,
                (*pair.tokens, END),
                np.array(pair.token_log_probs, dtype=np.float64),
                pair.unknown,
            )
            for pair in found
        ]

    def next_words(self, prefix: str = "", *, source: str | None = None, n: int = 10) -> Choice:
        """Return the most probable next words after a prefix, as `s2st score --next` does.

        Args:
            prefix: the beginning of the target; "" for its first word.
            source: the source line; None for a language model.
            n: number of words. Words of probability 0 are left out.

        Raises:
            UsageError: wrong arguments, the model needs a source, or it predicts the last word
                first.
        """
        import numpy as np

        from s2st.jobs.next_words import words_after

        count: object = n
        if not isinstance(count, Integral) or int(count) < 1:
            raise UsageError(f"n must be a number from 1, not {shown(n)}")
        (text,) = lines_of([prefix], "prefix")
        lines = None if source is None else lines_of([source], "source")
        (found,) = words_after(self._models.scorer, text, lines, int(count))
        return Choice(found.words, np.array(found.log_probs, dtype=np.float64), found.prefix)

    def rescore(
        self,
        sources: "Sources | None",
        lists: Sequence[Sequence[str | Candidate | Hypothesis]],
        *,
        tune: Sequence[str] | Sequence[Sequence[str]] | None = None,
        oracle: Sequence[str] | Sequence[Sequence[str]] | None = None,
        weights: "Mapping[str, float | Sequence[float]] | Path | None" = None,
        channel: "Sequence[Model]" = (),
        **options: Option,
    ) -> Rescoring:
        """Rescore n-best lists, as `s2st rescore-nbest` does.

        Args:
            sources: the source lines; None for a language model.
            lists: for each source line its hypotheses: text, candidates of `s2st.read_nbest`, or
                hypotheses of `nbest`. An empty list stays empty.
            tune: one reference for each line, or several references; the weights are tuned on them.
            oracle: references, to report what a perfect choice would gain.
            weights: weights of features, such as an earlier result's `weights`, or a weights file.
            channel: models of the opposite direction, as in `--channel-checkpoint`.
            options: options of `s2st rescore-nbest`, such as `feature_per="member"`.

        Raises:
            UsageError: wrong arguments.
            DataError: lists that cannot be used.
        """
        from s2st.api.rescoring import rescore

        others = [(other.paths[0], other._models.scorer) for other in _models(channel)]
        return rescore(self._models, sources, lists, tune, oracle, weights, others, options)

    def sentence_vectors(self, lines: "Sources", part: str = "all") -> "Floats":
        """Return (N, D) encoder states of N lines, as `s2st analyze states` computes them.

        Args:
            lines: the text.
            part: part of the state: "hidden", "cell" (LSTM), another part, or "all".

        Raises:
            UsageError: the model has no such state.
        """
        import numpy as np

        from s2st.analysis.sentence_vectors import sentence_vectors

        texts = sources_of(lines, self._models.scorer.source)
        if not isinstance(part, str):
            raise UsageError(f"part must be the name of a part of the state, not {shown(part)}")
        if not texts:
            return np.empty((0, 0))
        return sentence_vectors(self._models.scorer, texts, part)

    def attention(
        self,
        lines: "Sources",
        targets: Iterable[str] | None = None,
        *,
        part: str | None = None,
        layer: int | str | None = None,
        head: int | str | None = None,
        words: bool = False,
        **options: Option,
    ) -> list[AttentionMap]:
        """Return the attention maps of each line, as `s2st analyze attention` computes them.

        Args:
            lines: the source lines, each with words; the text of a language model.
            targets: the target lines; without them, the model translates the source.
            part: "cross" (from the decoder to the source), or "encoder" or "decoder" for
                self-attention. The default is "cross", and "decoder" for a language model.
            layer: number of the layer, from 1, or "all"; the highest one by default.
            head: number of the head, from 1, or "all"; the mean over the heads by default.
            words: join pieces to words.
            options: options of the search; only without `targets`.

        Returns:
            A map for each line. With "all" each line has several, by layer, then by head.

        Raises:
            UsageError: wrong arguments, or a model without such attention.
            DataError: a line has no words, or lines and targets differ in number.
        """
        from s2st.api.attention import attention

        choice = {"part": part, "layer": layer, "head": head, "words": words}
        search = None
        if targets is None:
            refuse(options, "attention", "nbest", "the map shows the best translation")
            search = search_of(translate_options("attention", options))
        return attention(self._models.scorer, lines, targets, choice, search, list(options))

    def explain(
        self,
        sentence: str,
        *,
        prefix: str | Sequence[str] = "",
        alternatives: int = 5,
        **options: Option,
    ) -> Explanation:
        """Translate one sentence by beam search, and return what the search considered.

        Args:
            sentence: the text; a language model continues it.
            prefix: the beginning of the translation: text, as in `translate`, or tokens of the
                model in the order in which it predicts them.
            alternatives: number of tokens in each `Choice`.
            options: options of beam search, see `translate`. `nbest` is `beam` by default.

        Raises:
            UsageError, DataError: see `translate`.
        """
        from s2st.api.explaining import explain

        refuse(options, "explain", "search", "it shows beam search")
        refuse(options, "explain", "shortlist", "the model chooses among all words")
        resolved = translate_options("explain", options)
        if "nbest" not in options:
            wider = {**options, "nbest": resolved.configs["search"].beam}
            resolved = translate_options("explain", wider)
        return explain(self._models.scorer, resolved, sentence, prefix, alternatives)

    def _translations(
        self,
        method: str,
        lines: "Sources",
        prefix: Iterable[str] | None,
        constraints: Iterable[Sequence[str]] | None,
        options: Mapping[str, Option],
    ) -> "Iterator[Translation]":
        texts = sources_of(lines, self._models.scorer.source)
        beginnings = None if prefix is None else lines_of(prefix, "prefix")
        phrases = None if constraints is None else list(phrase_lines(constraints))
        resolved = translate_options(method, options)
        return translate_lines(resolved, texts, self._models.scorer, beginnings, phrases)


def _models(channel: "Sequence[Model]") -> "list[Model]":
    if not isinstance(channel, Sequence) or not all(isinstance(one, Model) for one in channel):
        raise UsageError(f"channel must be a list of models of s2st.load, not {shown(channel)}")
    return list(channel)
