"""The output layer: softmax over the vocabulary, and its loss."""
