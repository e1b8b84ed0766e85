"""Write the generated tables into a document, or check that they are up to date.

    python docs/generate.py --write [FILE]
    python docs/generate.py --check [FILE]

The default is docs/reference.md. A table is between `<!-- generated: NAME -->` and
`<!-- end -->`. A script, never imported; it needs the libraries of `make setup`.
"""

import argparse
import re
import sys
from pathlib import Path

from tables import TABLES  # beside this script

REFERENCE = Path(__file__).with_name("reference.md")
BLOCK = re.compile(r"(<!-- generated: ([\w ]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def generated(text: str) -> str:
    """`text` with each block's table rendered again."""

    def fresh(block: re.Match[str]) -> str:
        start, name, end = block.groups()
        return f"{start}{TABLES[name]()}\n{end}"

    return BLOCK.sub(fresh, text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--write", action="store_true", help="replace the tables")
    action.add_argument("--check", action="store_true", help="exit 1 if one is stale")
    parser.add_argument("file", nargs="?", type=Path, default=REFERENCE)
    args = parser.parse_args()
    current = args.file.read_text()
    wanted = generated(current)
    if args.write:
        args.file.write_text(wanted)
    elif current != wanted:
        print(
            f"{args.file.name} is stale: run `python docs/generate.py --write`.",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
