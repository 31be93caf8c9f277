"""Sharding of n-best lists: blocks of source lines, which ranks and `--shard` divide.

Lists of different blocks are never scored together, so sharding does not change scores.
"""

from s2st.errors import UsageError

BLOCK = 64  # source lines


def shard_lines(shard: str | None, count: int) -> range:
    """Return the source lines of part I of N; a part consists of whole blocks.

    Args:
        shard: "I/N" with I from 1, or None for all lines.
        count: number of source lines.

    Raises:
        UsageError: `shard` has another form.
    """
    if shard is None:
        return range(count)
    part, _, parts = shard.partition("/")
    if not (part.isdecimal() and parts.isdecimal() and 1 <= int(part) <= int(parts) < 10**6):
        raise UsageError(f"--shard {shard}: give I/N, such as 1/4, with I from 1 to N")
    blocks = -(-count // BLOCK)
    first, end = (min(count, blocks * i // int(parts) * BLOCK) for i in (int(part) - 1, int(part)))
    return range(first, end)
