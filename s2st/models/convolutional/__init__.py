"""RCTM I: a convolutional sentence model with a recurrent decoder."""
