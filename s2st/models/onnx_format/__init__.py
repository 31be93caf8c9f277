"""Models as ONNX graphs: an encoder, and one step of the decoder.

The graphs are built operation by operation from the weights by name, not traced. So they do not
depend on the release of torch, on packed weights, or on the lengths of example sentences.
"""
