"""Stand-in for pymarian 1.12; Marian's programs are in `_pymarian`."""
