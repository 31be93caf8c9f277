"""What the jobs that report something yield: lines of text, or records for JSON output."""

from collections.abc import Mapping
from typing import Any

ReportLine = str | Mapping[str, Any]
