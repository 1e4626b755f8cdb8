"""Prints a generated page with what was written by hand into the one before it; scripts/reference calls it.

Below each heading the generated lines come first. What stands below a line <!-- notes --> was written by hand, up to the
next heading, and is kept; so is the last cell of the tables of outcomes and error codes. An empty cell of any other table
lacks its COMMENT. Notes whose heading is gone are kept at the end, under a heading of their own.
"""

import re
import sys
from pathlib import Path

NOTES = "<!-- notes -->"
LOST = "## Notes whose heading is gone"
BY_HAND = ("## Outcomes of a run", "## Error codes")


def blocks(text):
    """The page as {headings: lines below the last of them}; a heading is known with those above it."""
    found, path, is_code = {}, [], False
    for line in text.splitlines():
        if line.startswith("```"):
            is_code = not is_code
        heading = None if is_code else re.match(r"#{1,3} ", line)
        if heading:
            path = [*path[: len(heading[0]) - 2], line]
            found[tuple(path)] = []
        elif path:
            found[tuple(path)].append(line)
    return found


def cells(line):
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] if line.startswith("|") else []


def split(lines):
    """The generated lines of a block, and its notes."""
    place = lines.index(NOTES) if NOTES in lines else len(lines)
    return "\n".join(lines[:place]).strip(), "\n".join(lines[place + 1 :]).strip()


def merge(new, old, is_by_hand):
    """The block with what is kept of the old one, and the rows that lack their last cell."""
    by_hand = {row[0]: row[-1] for row in map(cells, old) if row and is_by_hand}
    lines, missing = [], []
    for line in new:
        row = cells(line)
        if row and not row[-1]:
            row[-1] = by_hand.get(row[0], "")
            line = f"| {' | '.join(row)} |"
            if not row[-1]:
                missing.append(row[0])
        lines.append(line)
    generated, notes = "\n".join(lines).strip(), split(old)[1]
    return "\n\n".join(part for part in (generated, f"{NOTES}\n\n{notes}" if notes else "") if part), missing


def main(arguments):
    is_check = arguments[0] == "--complete"
    page, generated = map(Path, arguments[is_check:])
    old = blocks(page.read_text()) if page.exists() else {}
    new = blocks(generated.read_text())
    parts, problems = [], []
    for path, lines in new.items():
        is_by_hand = path[-1] in BY_HAND
        text, missing = merge(lines, old.get(path, []), is_by_hand)
        parts += [path[-1], text]
        problem = "say in the last cell what {} means" if is_by_hand else "{} has no COMMENT"
        problems += [f"{path[-1]}: {problem.format(name)}" for name in missing]
    lost = []
    for path, lines in old.items():
        notes = split(lines)[1]
        if path not in new and path[-1] != LOST and notes:
            lost += [f"### {path[-1].lstrip('# ')}", f"{NOTES}\n\n{notes}"]
            problems.append(f"{path[-1]} is gone: move its notes, or delete them")
    if lost:
        parts += [LOST, *lost]
    print("\n\n".join(part for part in parts if part))
    for problem in problems:
        print(f"{page}: {problem}", file=sys.stderr)
    return 1 if problems and is_check else 0


sys.exit(main(sys.argv[1:]))
