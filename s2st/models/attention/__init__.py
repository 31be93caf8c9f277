"""LSTM and GRU encoder-decoders with attention."""
