"""Adds up the JUnit reports of several pytest runs and prints one line: 'N passed, N failed, N skipped'.

    python scripts/lib/sum_test_reports.py FOLDER EXIT_CODE

A run that was killed leaves no report, and a failed check has none: where the exit code tells a failure that no report
holds, it counts as one.
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path


def count(report: Path) -> tuple[int, int, int]:
    """Tests passed, failed (errors included) and skipped in one report."""
    suites = ElementTree.parse(report).getroot().iter("testsuite")
    total = failed = skipped = 0
    for suite in suites:
        total += int(suite.get("tests", 0))
        failed += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped += int(suite.get("skipped", 0))
    return max(total - failed - skipped, 0), failed, skipped


def main() -> None:
    """Reads the reports in the folder and the exit code named on the command line."""
    counts = [count(report) for report in sorted(Path(sys.argv[1]).glob("*.xml"))]
    passed, failed, skipped = (sum(column) for column in zip(*counts, strict=True)) if counts else (0, 0, 0)
    if sys.argv[2] != "0":
        failed = max(failed, 1)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")


if __name__ == "__main__":
    main()
