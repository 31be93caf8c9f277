"""The convolutional sentence model with a recurrent decoder (RCTM I)."""
