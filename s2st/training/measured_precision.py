"""The choice of `--precision auto`: time a few products in float32 and in bfloat16."""

import logging
import time

import torch

from s2st.models.packed.packed_linear import multiply
from s2st.process.device import has_bfloat16

log = logging.getLogger("s2st")
ROWS = 256  # of the measured products; fewer than a batch has positions, to take milliseconds
MOST_WORDS = 4096
ROUNDS = 5
WORTH = 1.2  # how many times as fast bfloat16 must be: conversions take time, and digits are lost


def faster_precision(device: torch.device, width: int, words: int) -> str:
    """Return "float32" or "bfloat16", and log one line with the reason.

    The measured products are those of a layer with four gates and of a softmax.

    Args:
        device: where the model will be trained.
        width: of the model's layers.
        words: size of the target vocabulary.
    """
    if not has_bfloat16(device):
        log.info("--precision auto: float32, because this CPU has no bfloat16 instructions")
        return "float32"
    outputs = 4 * width, min(words, MOST_WORDS)
    works = {
        dtype: [
            (torch.rand(ROWS, width, device=device, dtype=dtype),
             torch.rand(output, width, device=device, dtype=dtype))
            for output in outputs
        ]
        for dtype in (torch.float32, torch.bfloat16)
    }  # fmt: skip
    fastest = dict.fromkeys(works, float("inf"))
    for _ in range(ROUNDS):  # in turn, because other processes may slow down some of the time
        for dtype, factors in works.items():
            fastest[dtype] = min(fastest[dtype], _seconds(factors, device))
    ratio = fastest[torch.float32] / fastest[torch.bfloat16]
    chosen = "bfloat16" if ratio > WORTH else "float32"
    log.info(
        "--precision auto: %s, because products of this model's width are %.2f times as fast in "
        "bfloat16 as in float32", chosen, ratio,
    )  # fmt: skip
    return chosen


@torch.no_grad()
def _seconds(factors: list[tuple[torch.Tensor, torch.Tensor]], device: torch.device) -> float:
    """Return the seconds of one pass over the products; on a CPU those of CPU time.

    Other processes change the CPU time less than the time by the clock.
    """
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    _wait(device)
    start = clock()
    for left, right in factors:
        multiply(left, right)
    _wait(device)
    return clock() - start


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
