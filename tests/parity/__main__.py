"""Run folders of cases and print case, quantity, largest error, tolerance, verdict.

Exit status: 0 all within tolerance, 1 any miss (also a case of unknown family or kind, and anything not compared), 2 no
case found.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from tests.parity.case import Case, read_cases
from tests.parity.comparison import Comparison, Row
from tests.parity.families import FAMILIES


def run_case(case: Case) -> list[Row]:
    """Return the rows of one case; a failure to run it is a row that misses."""
    runner = FAMILIES.get(case.family)
    if runner is None:
        return [Row(case.name, f"unknown family '{case.family}'", float("inf"), 0.0, "", 1)]
    comparison = Comparison(case)
    try:
        runner(case, comparison)
    except Exception as error:
        traceback.print_exc()
        return [*comparison.rows(), Row(case.name, f"failed: {error}", float("inf"), 0.0, "", 1)]
    return comparison.rows()


def main(folders: Sequence[str]) -> int:
    """Run all cases below ``folders``."""
    if not folders:
        print("usage: python -m tests.parity FOLDER...", file=sys.stderr)
        return 2
    cases = [case for folder in folders for case in read_cases(Path(folder))]
    if not cases:
        print(f"no cases in {', '.join(folders)}", file=sys.stderr)
        return 2
    rows = []
    for case in cases:
        for row in run_case(case):
            rows.append(row)
            verdict = "ok" if row.ok else "MISS"
            line = f"{row.case:40} {row.quantity:44} {row.error:9.2e} {row.tolerance:9.2e} {verdict:4}"
            print(line if row.ok else f"{line}  {row.worst}", flush=True)
    misses = sum(not row.ok for row in rows)
    compared = sum(row.count for row in rows if row.ok)
    print(f"{len(cases)} cases, {compared} arrays and numbers within tolerance, {misses} misses")
    return 1 if misses else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
