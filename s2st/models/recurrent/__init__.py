"""Recurrent encoder-decoders (vanilla RNN, GRU, LSTM), and the recurrent layers that others share.

Every stack of layers is a `Stack` (`layer_stack.py`); a `BidirectionalStack`
(`bidirectional_stack.py`) holds two of them for each layer. A `Stack` runs its layers in one of
seven ways:

1. Whole targets: `Stack.run`. Decoders in training. Padding comes after the words, so torch's fused
   layer runs over all positions and the loss ignores the padding.
2. Packed sequence: `Stack._run_sequence`. Sources on a GPU. cuDNN takes a `PackedSequence`, skips
   the padding, and leaves each sentence's state after its last token.
3. Stretches: `Stack._run_stretches`. Sources on a CPU. torch's fused CPU layer takes no
   `PackedSequence`. Sentences are sorted by length, and time is cut where a sentence ends: no
   stretch contains padding.
4. Loop over time: `run_loop` (`unfused_layer.py`). Layers with layer normalization or sigmoid
   cells, and training with recurrent dropout. torch's fused layers have none of them, so the loop
   takes their place inside 1 and 3 on every device.
5. Token steps: `Steps` (`token_steps.py`). Every step of a search. On a CPU also the sources and
   the targets that are scored, once `prepare` has packed the weights (`packed/packed_linear.py`).
   Packed products are fastest with few rows. Rows that read the same word share its product, and
   without gradients a step can overwrite the state.
6. Packed products on a CPU in float32 (`packed_positions.py`): every GRU layer in 1 and 3
   (`packed_gru.py`), and the first LSTM layer if its embeddings have no dropout and enough words
   occur more than once (`packed_lstm.py`). `word_inputs.py` decides. In a first layer the products
   of the input weights, and those of their gradients, then have one row per distinct word.
7. Products in bfloat16: `run_layer` (`bfloat16_layer.py`, `bfloat16_cells.py`). Under autocast to
   bfloat16 on a CPU, it takes the place of torch's fused layers in 1 and 3, and that of 6: a first
   layer shares the products of equal words as there.

Formulas (`cell_formulas.py`): the loop uses `FORMULAS`, which keep gradients; token steps use
`STEPS`, which write in place. Both equal torch's layers, which compute 1 to 3, and
those of 6, whose gradients are written out.

Models: `encoder_decoder.py` has the architectures `lstm`, `gru` and `rnn`. `decoder.py` has the
decoder that they share with `rctm` and `lstm-lm`. `pipeline_stage.py` divides a model over devices.
`aligned_rnn.py` and `attention/` beside this package use `Stack` too; the encoder of `attention/`
is not prepared, so that it runs as 2 or 3 in scoring as well.
"""
