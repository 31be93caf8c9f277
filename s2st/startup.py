"""Bringing torch in without the garbage collector, which would look through all of it in vain."""

import gc
import sys


def import_torch() -> None:
    """Imports torch, whose objects the collector then leaves alone: they live until the end."""
    if "torch" in sys.modules:
        return
    gc.disable()
    try:
        import torch  # noqa: F401
    finally:
        gc.freeze()
        gc.enable()
