"""What int8 weights cost: log-probabilities and BLEU of real lists against float32.

    python benchmarks/int8_cost.py --checkpoint DIR --lists test.1000best.gz --source test.en.gz \\
        --reference test.fr.gz [--count 100] [--json FILE]
"""

import argparse
import itertools
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import facts, write_results

from s2st.jobs.rescore.list_scorer import ListScorer
from s2st.jobs.rescore.scored_list import ScoredList
from s2st.jobs.text_metrics import evaluate_system
from s2st.process.device import keep_freed_pages
from s2st.rescoring.feature_weights import MODEL
from s2st.scoring.load_scorers import load_scorer
from s2st.scoring.nbest_features import DirectFeature
from s2st.text.line_files import read_lines
from s2st.text.nbest_lists import read_nbest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", required=True, nargs="+", help="one, or an ensemble")
    parser.add_argument("--lists", required=True)
    parser.add_argument("--source", required=True)
    parser.add_argument("--reference", required=True)
    parser.add_argument("--count", type=int, default=100, help="lists")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    arguments = parser.parse_args()
    keep_freed_pages()
    machine = facts()
    print("machine:", ", ".join(f"{name} {value}" for name, value in machine.items()))
    results: list[dict[str, Any]] = []
    sources = list(read_lines(arguments.source))
    references = list(read_lines(arguments.reference))
    lists = list(
        itertools.islice(read_nbest(read_lines(arguments.lists), arguments.lists), arguments.count)
    )
    found: dict[str, list[ScoredList]] = {}
    for precision in ("float32", "int8"):
        scorer = load_scorer(arguments.checkpoint, torch.device("cpu"), precision)
        feature = DirectFeature(MODEL, scorer)
        start = time.perf_counter()
        found[precision] = list(
            ListScorer([feature], sources, 2048, arguments.lists).score(iter(lists))
        )
        count = sum(len(item.entries) for item in found[precision])
        seconds = time.perf_counter() - start
        results.append({"precision": precision, "hypotheses": count, "seconds": seconds})
        print(f"{precision}: {count} hypotheses, {count / seconds:.0f} a second, text to scores")
    results.append(describe(found["float32"], found["int8"]))
    used = [references[item[0].id] for item in lists]
    for name, share in (("the model alone", 1.0), ("half the baseline, spreads equal", 0.5)):
        for precision, scored in found.items():
            chosen = [best(item, share) for item in scored]
            score = evaluate_system(name, chosen, [used], tokenize="none").bleu
            results.append({"choice": name, "precision": precision, "bleu": score.score})
            print(f"BLEU of the choice of {name}, {precision}: {score.score:.2f}")
    write_results(arguments.json, machine, results)


def describe(plain: list[ScoredList], int8: list[ScoredList]) -> dict[str, Any]:
    """Differences a word and a hypothesis, and how often the best hypothesis is another one.

    Prints them, and returns them in nats.
    """
    words = [
        np.abs(a - b)
        for one, other in zip(plain, int8, strict=True)
        for a, b in zip(one.token_scores[0], other.token_scores[0], strict=True)
    ]
    flat = np.concatenate(words)
    sums = np.concatenate(
        [(b.model_scores - a.model_scores)[:, 0] for a, b in zip(plain, int8, strict=True)]
    )
    spread = np.mean([item.model_scores.std() for item in plain])
    print(f"log p a word, difference in nats: mean {flat.mean():.4f}, largest {flat.max():.3f}")
    print(
        f"log p a hypothesis: mean difference {sums.mean():+.4f}, mean size "
        f"{np.abs(sums).mean():.4f}, largest {np.abs(sums).max():.3f}; "
        f"within a list they spread by {spread:.2f}"
    )
    same = sum(
        int(a.model_scores.argmax() == b.model_scores.argmax())
        for a, b in zip(plain, int8, strict=True)
    )
    print(f"the model's best hypothesis is the same in {same} of {len(plain)} lists")
    return {
        "word_mean": float(flat.mean()),
        "word_largest": float(flat.max()),
        "hypothesis_mean_size": float(np.abs(sums).mean()),
        "hypothesis_largest": float(np.abs(sums).max()),
        "spread_in_list": float(spread),
        "same_best": same,
        "lists": len(plain),
    }


def best(item: ScoredList, share: float) -> str:
    """The best hypothesis by share * model + (1 - share) * baseline, each at spread 1."""
    model, baseline = item.model_scores[:, 0], np.array(item.totals)
    total = share * model / max(model.std(), 1e-9)
    if share < 1:
        total = total + (1 - share) * baseline / max(baseline.std(), 1e-9)
    return item.entries[int(total.argmax())].hypothesis


if __name__ == "__main__":
    main()
