"""How `s2st score --ref` shows its figures: each line names its metric and how it was computed."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from s2st_cli.terminal_output import show, show_json

if TYPE_CHECKING:
    from s2st.jobs.text_metrics import PairedResult, SystemScores


def print_scores(scores: "SystemScores", *, as_json: bool, named: bool) -> None:
    """Prints all figures of one system to stdout.

    Args:
        scores: of the system.
        as_json: one JSON object instead of lines.
        named: print the system's name above the lines.
    """
    if as_json:
        record = {
            metric.name: {
                "score": metric.score, "signature": metric.signature, "how": metric.how,
            }
            for metric in scores.metrics()
        }  # fmt: skip
        show_json({"system": scores.name, **record})
        return
    if named:
        show(scores.name)
    for metric in scores.metrics():
        show(metric.line())


def print_comparison(baseline: str, results: Sequence["PairedResult"], *, as_json: bool) -> None:
    """Prints a paired bootstrap test of several systems to stdout.

    Args:
        baseline: name of the system that the others are compared with.
        results: one for each system and metric.
        as_json: JSON lines.
    """
    if not as_json:
        show(f"paired bootstrap against {baseline} (95%: mean +- half the interval's width)")
    for result in results:
        if as_json:
            compared = {"baseline": baseline, **asdict(result)}
            show_json(compared)
        else:
            show(f"{result.system}  {result.metric} ({result.how}) = {result.figures()}")
