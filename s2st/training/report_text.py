"""Reports of a training as lines of text, for the terminal and for train.log."""

from collections.abc import Iterator

from s2st.training.observer import UpdateReport, ValidationReport, perplexity_text


def duration(seconds: float) -> str:
    """Formats seconds as 1:02:03 or 2:03."""
    whole = int(seconds)
    hours, minutes = whole // 3600, whole % 3600 // 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def describe_update(report: UpdateReport) -> str:
    """Formats a training report as one line."""
    speed = f"{report.target_words_per_second:,.0f} words/s"
    if report.source_words_per_second is not None:
        target = report.target_words_per_second
        speed = f"{report.source_words_per_second:,.0f} source + {target:,.0f} target words/s"
    return (
        f"epoch {report.epoch:.2f}, update {report.update}: loss {report.loss:.3f}, "
        f"ppl {perplexity_text(report.nll)}, lr {report.learning_rate:.3g}, "
        f"gnorm {report.gradient_norm:.2f}, {speed}"
    )


def describe_left(report: UpdateReport) -> str:
    """The time left and the limit that it counts down to; empty if unknown."""
    if report.seconds_left is None:
        return ""
    most = "at most " if report.may_stop_early else ""
    return f"{most}{duration(report.seconds_left)} left to {report.end}"


def update_line(report: UpdateReport) -> str:
    """Formats a training report with the time left as one line."""
    left = describe_left(report)
    return describe_update(report) + (f", {left}" if left else "")


def describe_validation(report: ValidationReport) -> str:
    """Formats a validation report as one line."""
    mark = " (best)" if report.best else ""
    metrics = "".join(f", {name} {value:.2f}" for name, value in report.metrics.items())
    each = ", ".join(f"{name} {perplexity_text(nll)}" for name, nll in report.corpora.items())
    return (
        f"epoch {report.epoch:.2f}, update {report.update}: valid ppl "
        f"{perplexity_text(report.nll)}{f' ({each})' if each else ''}{metrics}{mark}, train ppl "
        f"{perplexity_text(report.train_nll)}"
    )


def validation_lines(report: ValidationReport) -> Iterator[str]:
    """Yields the line of a validation, then three lines for each of its samples."""
    yield describe_validation(report)
    for sample in report.samples:
        yield f"  source:     {sample.source}"
        yield f"  reference:  {sample.reference}"
        yield f"  hypothesis: {sample.hypothesis}"
