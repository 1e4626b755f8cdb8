#!/usr/bin/env python3
"""Measures the extension inside the database beside SQL that one would write without it: target/bench/database.md.

The things that are compared run in turns. A time is the median of the rounds. A ratio is the median of the ratios of two times that
were measured one after the other.
    ROUNDS=7 bench/database.py [reconcile] [reads] [history] [retire]
"""

import sys

from common import ROUNDS, TARGET, Cluster, begin, checks, machine, table
from history import history, retire
from reads import reads
from reconcile import reconcile


def main():
    parts = {part.__name__: part for part in (reconcile, reads, history, retire)}
    report = []
    begin('database')
    for name in sys.argv[1:] or parts:
        cluster = Cluster('shared_buffers=512MB')
        try:
            report.append(parts[name](cluster))
        finally:
            cluster.stop()
        write(report)
    print((TARGET / 'database.md').read_text())


def write(report):
    text = f"""# Database

Medians of {ROUNDS} rounds on {machine()}, one session for each way.

"""
    if checks:
        text += '## Limits\n\n' + table(['what', 'models', 'measured', 'limit', 'met'], checks)
    text += ''.join(report)
    (TARGET / 'database.md').write_text(text)


if __name__ == '__main__':
    main()
