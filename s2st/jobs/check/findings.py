"""Findings of `s2st check`: what is wrong, how badly, how often and in which lines."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

BREAKS, WARNING, REMARK = "breaks", "warning", "remark"
SEVERITIES = (BREAKS, WARNING, REMARK)  # worst first
KEPT_LINES = 1000  # line numbers of a finding that JSON output has


@dataclass(frozen=True)
class Finding:
    """One finding.

    Attributes:
        severity: one of SEVERITIES; `breaks` means that a command would refuse the input.
        kind: short name, for programs.
        where: the file or folder.
        text: what is wrong and what to do.
        count: number of lines, or of what the text says.
        lines: numbers from 1 of the first KEPT_LINES lines.
    """

    severity: str
    kind: str
    where: str
    text: str
    count: int = 1
    lines: tuple[int, ...] = ()

    def record(self) -> dict[str, Any]:
        """Return the finding as JSON values."""
        return {
            "severity": self.severity,
            "kind": self.kind,
            "where": self.where,
            "text": self.text,
            "count": self.count,
            "lines": list(self.lines),
        }


@dataclass(frozen=True)
class CheckReport:
    """What was read, and the findings, worst first.

    Attributes:
        read: one line for each input: its name and size.
    """

    read: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def breaking(self) -> int:
        """Number of findings that would break a command."""
        return sum(finding.severity == BREAKS for finding in self.findings)

    def lines(self, most: int) -> Iterator[str]:
        """Yield the report as text, with at most `most` line numbers for each finding."""
        yield from self.read
        if not self.findings:
            yield "no findings"
        width = max(map(len, SEVERITIES))
        for finding in self.findings:
            numbers = ", ".join(map(str, finding.lines[:most]))
            more = ", ..." if finding.count > most and finding.lines else ""
            lines = f" (line{'s' if finding.count > 1 else ''} {numbers}{more})" if numbers else ""
            yield f"{finding.severity:<{width}}  {finding.where}: {finding.text}{lines}"

    def record(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        findings = [finding.record() for finding in self.findings]
        return {"read": list(self.read), "breaking": self.breaking, "findings": findings}


def sorted_findings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Sort findings: worst first, then the most frequent."""
    key = {severity: rank for rank, severity in enumerate(SEVERITIES)}
    return tuple(sorted(findings, key=lambda f: (key[f.severity], -f.count, f.where, f.kind)))


@dataclass
class Tally:
    """Counts of what was found in one file, by kind.

    Attributes:
        counts, lines: number of lines, and the first line numbers, of each kind.
    """

    counts: dict[str, int] = field(default_factory=dict)
    lines: dict[str, list[int]] = field(default_factory=dict)

    def add(self, kind: str, line: int) -> None:
        """Count a line."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        kept = self.lines.setdefault(kind, [])
        if len(kept) < KEPT_LINES:
            kept.append(line)

    def findings(self, where: str, kinds: Sequence[tuple[str, str, str]]) -> Iterator[Finding]:
        """Yield a finding for each (kind, severity, text) that was counted.

        In the text, `{count}` stands for the number of lines, with its noun.
        """
        for kind, severity, text in kinds:
            count = self.counts.get(kind, 0)
            if count:
                noun = f"{count:,} line{'' if count == 1 else 's'}"
                words = text.format(count=noun)
                yield Finding(severity, kind, where, words, count, tuple(self.lines[kind]))
