"""Weights packed once for fast products on CPUs: float32, bfloat16, int8."""
