"""Blocks of source lines: the unit in which ranks and `--shard` divide n-best lists.

Lists of different blocks are never scored together, so a division changes no score.
"""

from s2st.errors import UsageError

BLOCK = 64  # source lines


def shard_lines(shard: str | None, count: int) -> range:
    """Source lines of the I-th of N parts, of whole blocks, so that parts do not change scores.

    Args:
        shard: "I/N" with I from 1, or None for all lines.
        count: lines of the source.

    Raises:
        UsageError: not of that form.
    """
    if shard is None:
        return range(count)
    part, _, parts = shard.partition("/")
    if not (part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts) < 10**6):
        raise UsageError(f"--shard {shard}: give I/N, such as 1/4, with I from 1 to N")
    blocks = -(-count // BLOCK)
    first, end = (min(count, blocks * i // int(parts) * BLOCK) for i in (int(part) - 1, int(part)))
    return range(first, end)
