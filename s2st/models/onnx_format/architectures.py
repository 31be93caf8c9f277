"""The encoder and the decoder step of every architecture as graphs.

Every state tensor has the rows as its first dimension, so that a caller can select, repeat and
reorder rows. An output `new_NAME` of a step is the input `NAME` of the next one. The inputs of a
step without such an output are outputs of the encoder, and stay as they are.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from s2st.errors import UsageError
from s2st.models.aligned_rnn import AT_END, BEYOND, AlignedModel
from s2st.models.attention.encoder_decoder import AttentionModel
from s2st.models.base import Seq2SeqModel
from s2st.models.convolutional.rctm import ConvolutionalModel
from s2st.models.language_models import RecurrentLM, TransformerLM
from s2st.models.model_record import ModelRecord
from s2st.models.onnx_format.attention import attend, return_source, source_inputs
from s2st.models.onnx_format.convolution import ConvolutionGraph
from s2st.models.onnx_format.graph import BOOL, FLOAT, INT64, Graph, Value
from s2st.models.onnx_format.layers import (
    embed,
    encoder_inputs,
    expanded,
    joined,
    linear,
    project,
    return_mask,
    source_mask,
    step_token,
    without_eos,
    zeros,
)
from s2st.models.onnx_format.recurrent import (
    StackNames,
    both_ways,
    bridged,
    return_states,
    reversed_words,
    run_stack,
    stack_names,
    state_inputs,
    step_stack,
    top_of,
)
from s2st.models.onnx_format.transformer import MAX_POSITIONS, TransformerGraph
from s2st.models.recurrent.encoder_decoder import RecurrentModel
from s2st.models.transformer.encoder_decoder import TransformerModel
from s2st.text.vocabulary import EOS_ID, PAD_ID

SOURCE, TARGET = "source_embedding.weight", "target_embedding.weight"
NEW = "new_"


@dataclass(frozen=True)
class ModelGraphs:
    """Both graphs of a model.

    Attributes:
        max_positions: longest sentence in tokens; None if any length works.
    """

    encoder: Graph
    step: Graph
    max_positions: int | None = None


def model_graphs(record: ModelRecord, model: Seq2SeqModel) -> ModelGraphs:
    """Build the graphs of a model, whose weights must not be packed (`prepare`).

    Raises:
        UsageError: ONNX is not installed, or the architecture has no graph here.
    """
    build = BUILDERS.get(type(model))
    if build is None:
        raise UsageError(
            f"--format onnx has no graph of the architecture {record.architecture}, which a plugin "
            "adds"
        )
    weights = model.state_dict()
    return build(model, weights)


def _logits(graph: Graph, features: Value, model: Any) -> None:
    words = model.softmax.words
    graph.output("logits", project(graph, features, model.softmax, TARGET), FLOAT,
                 ("batch", words))  # fmt: skip


def _recurrent(model: RecurrentModel, weights: Mapping[str, torch.Tensor]) -> ModelGraphs:
    config, cell = model.config, model.decoder.cell
    layers, width = len(model.decoder.layers), model.hidden_size
    encoder = Graph(weights)
    tokens, lengths = encoder_inputs(encoder)
    if config.reverse_source:
        tokens = reversed_words(encoder, tokens, lengths)
    kind = both_ways if config.bidirectional else stack_names
    names = kind("encoder", layers, cell, config.residual)
    mask = source_mask(encoder, tokens, lengths)
    _, states = run_stack(encoder, names, embed(encoder, SOURCE, tokens), mask, lengths)
    return_states(encoder, names, states, width)
    every_step = config.context == "every-step"
    if every_step:
        encoder.output("context", top_of(encoder, names, states), FLOAT, ("batch", width))
    decoder = stack_names("decoder", layers, cell, config.residual)
    step = _recurrent_step(model, weights, decoder, width if every_step else 0)
    return ModelGraphs(encoder, step)


def _recurrent_step(
    model: Any, weights: Mapping[str, torch.Tensor], names: StackNames, context: int
) -> Graph:
    """The step of a decoder that reads a word and, if it has a width, a vector of the source."""
    graph = Graph(weights)
    inputs = embed(graph, TARGET, step_token(graph))
    states = state_inputs(graph, names)
    if context:
        vector = graph.input("context", FLOAT, ("batch", context))
        inputs = joined(graph, [inputs, vector])
    after = step_stack(graph, names, inputs, states)
    _logits(graph, top_of(graph, names, after), model)
    return_states(graph, names, after, model.hidden_size, NEW)
    return graph


def _first_states(graph: Graph, names: StackNames, lengths: Value, width: int) -> None:
    """Returns zeros for every state."""
    states = [zeros(graph, lengths, width) for _ in names.state_names]
    return_states(graph, names, states, width)


def _convolutional(model: ConvolutionalModel, weights: Mapping[str, torch.Tensor]) -> ModelGraphs:
    encoder = Graph(weights)
    tokens, lengths = encoder_inputs(encoder)
    cascade = ConvolutionGraph(encoder, "encoder.weight", model.config.largest_kernel)
    vector = cascade(embed(encoder, SOURCE, tokens), lengths)
    names = stack_names("decoder", len(model.decoder.layers), model.decoder.cell)
    _first_states(encoder, names, lengths, model.hidden_size)
    encoder.output("context", vector, FLOAT, ("batch", cascade.width))
    return ModelGraphs(encoder, _recurrent_step(model, weights, names, cascade.width))


def _recurrent_lm(model: RecurrentLM, weights: Mapping[str, torch.Tensor]) -> ModelGraphs:
    encoder = Graph(weights)
    _, lengths = encoder_inputs(encoder)
    names = stack_names("decoder", len(model.decoder.layers), model.decoder.cell)
    _first_states(encoder, names, lengths, model.hidden_size)
    return ModelGraphs(encoder, _recurrent_step(model, weights, names, 0))


def _attention(model: AttentionModel, weights: Mapping[str, torch.Tensor]) -> ModelGraphs:
    config, cell = model.config, model.decoder.cell
    layers = len(model.decoder.layers)
    _, width, _, _ = config.sizes()
    encoder = Graph(weights)
    tokens, lengths = encoder_inputs(encoder)
    if not config.source_eos:
        lengths = without_eos(encoder, lengths)
    mask = source_mask(encoder, tokens, lengths)
    kind = both_ways if config.bidirectional else stack_names
    names = kind("encoder", layers, cell)
    tops, states = run_stack(encoder, names, embed(encoder, SOURCE, tokens), mask, lengths)
    states = bridged(encoder, config.bridge, states, layers, width)
    return_states(encoder, names, states, width)
    attention = config.attention != "none"
    if attention:
        return_source(encoder, config, tops, width)
        return_mask(encoder, mask)

    names = stack_names("decoder", layers, cell)
    step = Graph(weights)
    inputs = embed(step, TARGET, step_token(step))
    states = state_inputs(step, names)
    source = source_inputs(step, config, width) if attention else None
    feeds = config.input_feeding and not config.attends_first
    context = None
    if config.attends_first and source is not None:
        context = attend(step, config, top_of(step, names, states), source)
        inputs = joined(step, [inputs, context])
    if feeds:
        inputs = joined(step, [inputs, step.input("fed", FLOAT, ("batch", width))])
        encoder.output("fed", zeros(encoder, lengths, width), FLOAT, ("batch", width))
    states = step_stack(step, names, inputs, states)
    features = top_of(step, names, states)
    if source is not None:
        context = context or attend(step, config, features, source)
        features = linear(step, joined(step, [context, features]), "combine")
        features = features if config.attention_output == "linear" else step.op("Tanh", features)
    _logits(step, features, model)
    return_states(step, names, states, width, NEW)
    if feeds:
        step.output(f"{NEW}fed", features, FLOAT, ("batch", width))
    return ModelGraphs(encoder, step)


def _transformer(model: TransformerModel, weights: Mapping[str, torch.Tensor]) -> ModelGraphs:
    config, depth = model.config, len(model.decoder.layers)
    encoder = Graph(weights)
    tokens, lengths = encoder_inputs(encoder)
    if not config.source_eos:
        lengths = without_eos(encoder, lengths)
    mask = source_mask(encoder, tokens, lengths)
    stack = TransformerGraph(encoder, "encoder", config, SOURCE, len(model.encoder.layers))
    tops = stack.encode(tokens, mask)
    decoder = TransformerGraph(encoder, "decoder", config, TARGET, depth)
    _first_caches(decoder, lengths)
    sources = [decoder.memory(layer, "cross", tops) for layer in decoder.layers]
    decoder.return_caches("source", sources, "source")
    return_mask(encoder, mask)
    return ModelGraphs(encoder, _transformer_step(model, weights, depth, True), _longest(config))


def _transformer_lm(model: TransformerLM, weights: Mapping[str, torch.Tensor]) -> ModelGraphs:
    depth, encoder = len(model.decoder.layers), Graph(weights)
    _, lengths = encoder_inputs(encoder)
    _first_caches(TransformerGraph(encoder, "decoder", model.config, TARGET, depth), lengths)
    step = _transformer_step(model, weights, depth, False)
    return ModelGraphs(encoder, step, _longest(model.config))


def _longest(config: Any) -> int:
    """The longest sentence of a Transformer's graphs."""
    return int(config.max_positions) if config.positions == "learned" else MAX_POSITIONS


def _first_caches(stack: TransformerGraph, lengths: Value) -> None:
    """Returns caches without words."""
    shape = (stack.heads, 0, stack.width // stack.heads)
    empty = zeros(stack.graph, lengths, *shape)
    stack.return_caches("self", [[empty, empty] for _ in stack.layers], "words")


def _transformer_step(
    model: TransformerModel | TransformerLM, weights: Mapping[str, torch.Tensor], depth: int,
    reads_source: bool,
) -> Graph:  # fmt: skip
    graph = Graph(weights)
    token = step_token(graph)
    stack = TransformerGraph(graph, "decoder", model.config, TARGET, depth)
    caches = stack.cache_inputs("self", stack.cache_shape)
    sources, mask = [], None
    if reads_source:
        shape = tuple("source" if axis == "words" else axis for axis in stack.cache_shape)
        sources = stack.cache_inputs("source", shape)
        mask = graph.input("source_mask", BOOL, ("batch", "source"))
    features, longer = stack.step(token, caches, sources, mask)
    _logits(graph, features, model)
    stack.return_caches(f"{NEW}self", longer, "new_words")
    return graph


def _aligned(model: AlignedModel, weights: Mapping[str, torch.Tensor]) -> ModelGraphs:
    width = model.hidden_size
    encoder = Graph(weights)
    tokens, lengths = encoder_inputs(encoder)
    names = stack_names("layers", len(model.layers.layers), model.layers.cell)
    mask = source_mask(encoder, tokens, lengths)
    tops, _ = run_stack(encoder, names, embed(encoder, SOURCE, tokens), mask, lengths)
    encoder.output("source_states", tops, FLOAT, ("batch", "source", width))
    encoder.output("source_lengths", lengths, INT64, ("batch",))
    encoder.output("position", lengths - lengths, INT64, ("batch",))

    step = Graph(weights)
    step_token(step)
    states = step.input("source_states", FLOAT, ("batch", "source", width))
    ends = step.input("source_lengths", INT64, ("batch",))
    position = step.input("position", INT64, ("batch",))
    last = step.op("Min", position, ends - 1)
    features = step.op("GatherND", states, expanded(step, last, 1), attributes={"batch_dims": 1})
    words = project(step, features, model.softmax, None)
    before, after = step.ops(
        "Split", 2, words, (EOS_ID, model.softmax.words - EOS_ID), attributes={"axis": -1}
    )
    never = step.op("Slice", words, (0,), (1,), (1,)) * 0.0 + step.value(-math.inf)
    logits = joined(step, [before, never, after])
    count = model.softmax.words + 1
    only = {place: [-math.inf] * count for place in (AT_END, BEYOND)}
    only[AT_END][EOS_ID] = only[BEYOND][PAD_ID] = 0.0
    at_end = expanded(step, step.op("Equal", position, ends - 1), 1)
    inside = expanded(step, step.op("Less", position, ends - 1), 1)
    sure = step.op("Where", at_end, step.value([only[AT_END]]), step.value([only[BEYOND]]))
    step.output("logits", step.op("Where", inside, logits, sure), FLOAT, ("batch", count))
    step.output(f"{NEW}position", position + 1, INT64, ("batch",))
    return ModelGraphs(encoder, step)


# a plugin's class is not here, even if it derives from one of these
BUILDERS: dict[type, Callable[[Any, Mapping[str, torch.Tensor]], ModelGraphs]] = {
    RecurrentModel: _recurrent,
    ConvolutionalModel: _convolutional,
    AlignedModel: _aligned,
    AttentionModel: _attention,
    TransformerModel: _transformer,
    TransformerLM: _transformer_lm,
    RecurrentLM: _recurrent_lm,
}
