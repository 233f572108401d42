#!/usr/bin/env python3
"""Every C, C++ and CUDA source is as clang-format 14 writes it (.clang-format).

    form.py ROOT CLANG_FORMAT     names the first line of each file that differs; 77 where the tool is another version
"""
import subprocess
import sys
from pathlib import Path

FOLDERS = "common tokenize loader kernels model reports eval tests bench".split()
SOURCES = {".c", ".h", ".cc", ".cu", ".cuh"}


def main():
    root, tool = Path(sys.argv[1]), sys.argv[2]
    version = subprocess.run([tool, "--version"], capture_output=True, text=True, check=True).stdout
    if "version 14." not in version:
        print(f"skipped: the form is clang-format 14's, this is {version.strip()}")
        sys.exit(77)
    files = [path for folder in FOLDERS for path in sorted((root / folder).rglob("*")) if path.suffix in SOURCES]
    done = subprocess.run([tool, "--dry-run", "--ferror-limit=1", "-Werror", *files], capture_output=True, text=True, cwd=root)
    print(done.stderr or f"{len(files)} files in form")
    if done.returncode:
        print("mend it with: clang-format -i FILE")
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
