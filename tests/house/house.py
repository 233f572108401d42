#!/usr/bin/env python3
"""Which room includes which, and who calls whom: docs/house.md has the table, this holds the sources to it.

    house.py ROOT               every #include, and every name in docs/house.md: names the line that breaks the table
    house.py ROOT --calls BUILD the built libraries: no two objects call each other, not even through others
    house.py --self-test        breaks small rules in every way, and wants each named

A room is a folder. Rooms have no circles because a row of the table names only rows above it.
"""
import os
import re
import subprocess
import sys
from pathlib import Path

SOURCES = (".c", ".h", ".cc", ".cu", ".cuh")
ROW = re.compile(r"^\| `([a-z0-9_/]+)/` \|.*\|([^|]*)\|\s*$")
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')


def read_table(lines):
    """{room: set of rooms that it may include}, in the order of the table's rows."""
    table = {}
    for line in lines:
        row = ROW.match(line)
        if row:
            table[row[1]] = set(re.findall(r"`([a-z0-9_/]+)/`", row[2]))
    return table


def table_faults(table):
    """A row may name only rooms of the rows above it: so there is no circle."""
    faults, above = [], set()
    for room, allowed in table.items():
        for other in sorted(allowed - above):
            what = "stands below it" if other in table else "is no room"
            faults.append(f"docs/house.md: {room}/ may include {other}/, which {what}")
        above.add(room)
    return faults


def sources(root, rooms):
    """Yields (path, lines) of every source under the top-level folders that rooms stand in."""
    for top in sorted({room.split("/")[0] for room in rooms}):
        for folder, subfolders, names in os.walk(os.path.join(root, top)):
            subfolders.sort()
            for name in sorted(names):
                if name.endswith(SOURCES):
                    path = os.path.join(folder, name)
                    with open(path, encoding="utf-8") as file:
                        yield os.path.relpath(path, root), file.read().split("\n")


def include_faults(table, files):
    faults, seen = [], set()
    for path, lines in files:
        room = os.path.dirname(path)
        seen.add(room)
        if room not in table:
            faults.append(f"{path}: {room}/ has no row in docs/house.md")
            continue
        for number, line in enumerate(lines, 1):
            match = INCLUDE.match(line)
            other = os.path.dirname(match[1]) if match else room
            if other != room and other not in table[room]:
                faults.append(f"{path}:{number}: {room}/ may not include {match[1]} (docs/house.md)")
    return faults + [f"docs/house.md: {room}/ holds no source" for room in table if room not in seen]


def name_faults(doc, files):
    """What docs/house.md names must be there: functions and types by their prefix, files by their path."""
    text = "\n".join("\n".join(lines) for _, lines in files)
    there = set(re.findall(r"\bem_[a-z0-9_]+", text))
    paths = {path for path, _ in files}
    faults = [f"docs/house.md: {name} is in no source" for name in sorted(set(re.findall(r"`(em_[a-z0-9_]+)`", doc)) - there)
              if name != "em_reports"]
    tops = {path.split("/")[0] for path in paths}
    named = {name for name in re.findall(r"`([a-z0-9_/]+\.(?:c|h|cu|cc))`", doc) if name.split("/")[0] in tops}
    return faults + [f"docs/house.md: there is no {name}" for name in sorted(named - paths)]


def objects(build):
    """Yields (object, its defined names, the names that it wants) of every library of the house."""
    paths = [path for path in Path(build).rglob("em_*.dir/**/*.o") if "emulated" not in str(path)]
    rows = {str(path): [] for path in sorted(paths)}
    out = subprocess.run(["nm", "-A", "-g", "-P", *rows], capture_output=True, text=True, check=True).stdout if rows else ""
    for line in out.split("\n"):
        path, found, rest = line.partition(": ")
        if found:
            rows[path].append(rest.split())
    for path, fields in rows.items():
        name = re.sub(r"CMakeFiles/em_\w+\.dir/", "", str(Path(path).relative_to(build)))
        yield name, {row[0] for row in fields if row[1] in "TDBR"}, {row[0] for row in fields if row[1] == "U"}


def call_faults(parts):
    parts = list(parts)
    home = {name: part for part, defined, _ in parts for name in defined}
    calls = {}
    for part, _, wanted in parts:
        for name in sorted(wanted):
            if home.get(name, part) != part:
                calls.setdefault(part, {}).setdefault(home[name], name)
    faults, state = [], {}

    def visit(part, way):
        state[part] = "open"
        for other, name in calls.get(part, {}).items():
            if state.get(other) == "open":
                circle = way[way.index(other):] + [other]
                faults.append(f"{part} calls {name} of {other}: a circle, {' -> '.join(circle)}")
            elif other not in state:
                visit(other, way + [other])
        state[part] = "done"

    for part in sorted(calls):
        if part not in state:
            visit(part, [part])
    return faults


def self_test():
    lines = ["| `low/` | x | |", "| `high/` | x | `low/` |"]
    good = [("low/a.c", ['#include "low/a.h"']), ("low/a.h", []), ("high/b.c", ['#include "low/a.h"'])]
    cases = [
        (lines, good, None),
        (lines, good + [("low/c.c", ["", '#include "high/b.h"'])], "low/c.c:2: low/ may not include high/b.h"),
        (lines, good + [("attic/d.c", [])], "attic/ has no row"),
        (lines[:1] + ["| `high/` | x | `cellar/` |"], good, "cellar/, which is no room"),
        (list(reversed(lines)), good, "which stands below it"),
        (lines, good[:2], "high/ holds no source"),
    ]
    for rows, files, expected in cases:
        table = read_table(rows)
        faults = table_faults(table) + include_faults(table, files)
        if (expected is None and faults) or (expected and not any(expected in fault for fault in faults)):
            sys.exit(f"house.py: wanted {expected!r}, got {faults}")
    named = name_faults("`em_here` `em_gone` `low/a.c` `low/gone.h` `other/x.c`", [("low/a.c", ["void em_here(void);"])])
    if named != ["docs/house.md: em_gone is in no source", "docs/house.md: there is no low/gone.h"]:
        sys.exit(f"house.py: names: {named}")
    straight = [("a.o", {"f"}, {"g", "malloc"}), ("b.o", {"g"}, {"h"}), ("c.o", {"h"}, set())]
    if call_faults(straight) or not call_faults(straight[:2] + [("c.o", {"h"}, {"f"})]):
        sys.exit("house.py: circles of calls")


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    root = sys.argv[1]
    if sys.argv[2:3] == ["--calls"]:
        parts = list(objects(sys.argv[3]))
        faults, good = call_faults(parts), f"{len(parts)} objects, no circle of calls"
        if not parts:
            faults = [f"{sys.argv[3]}: nothing is built there"]
    else:
        doc = Path(root, "docs/house.md").read_text(encoding="utf-8")
        table = read_table(doc.split("\n"))
        files = list(sources(root, table))
        faults = table_faults(table) + include_faults(table, files) + name_faults(doc, files)
        good = f"{len(table)} rooms, every include as docs/house.md says"
    print("\n".join(faults) or good)
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
