"""Layer 3: the model interface and the architectures behind it. Models never see search."""
