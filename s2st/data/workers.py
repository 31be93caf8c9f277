"""Tokenising pairs of lines, in this process or in several, in order and in bounded memory."""

import multiprocessing
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import islice

from s2st.text.tokenizers import Tokenizer, TokenizerSpec

CHUNK_PAIRS = 2000
PairTokens = tuple[list[str], list[str]]
Lines = list[tuple[str, ...]]

_tokenizers: tuple[Tokenizer, Tokenizer] | None = None  # of a worker process


def tokenize_pairs(
    pairs: Iterable[tuple[str, ...]], source: TokenizerSpec, target: TokenizerSpec, workers: int
) -> Iterator[list[PairTokens]]:
    """Yields chunks of tokenised (source, target) pairs in the order of the input.

    With more than one worker, at most three chunks a worker are in flight.
    """
    chunks = _chunks(pairs)
    if workers == 1:
        tokenizers = source.build(), target.build()
        for chunk in chunks:
            yield _tokenize(tokenizers, chunk)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _start_worker, (source, target)) as pool:
        flying: deque[Future[list[PairTokens]]] = deque()
        try:
            for chunk in chunks:
                flying.append(pool.submit(_work, chunk))
                if len(flying) >= 3 * workers:
                    yield flying.popleft().result()
            while flying:
                yield flying.popleft().result()
        finally:
            for future in flying:
                future.cancel()


def _tokenize(tokenizers: tuple[Tokenizer, Tokenizer], chunk: Lines) -> list[PairTokens]:
    source, target = tokenizers
    return [(source.encode(pair[0]), target.encode(pair[1])) for pair in chunk]


def _start_worker(source: TokenizerSpec, target: TokenizerSpec) -> None:
    global _tokenizers
    _tokenizers = source.build(), target.build()


def _work(chunk: Lines) -> list[PairTokens]:
    assert _tokenizers is not None
    return _tokenize(_tokenizers, chunk)


def _chunks(pairs: Iterable[tuple[str, ...]]) -> Iterator[Lines]:
    iterator = iter(pairs)
    while chunk := list(islice(iterator, CHUNK_PAIRS)):
        yield chunk
