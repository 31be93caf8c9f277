"""Recurrent encoder-decoders: vanilla RNN, GRU, LSTM."""
