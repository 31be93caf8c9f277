"""Layer 9: the Python interface. `s2st.__all__` names what it promises; the rest is internal."""
