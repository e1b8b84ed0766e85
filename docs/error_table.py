"""The table of errors: what a client gets, and which files make it."""

import ast
import re
import runpy
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from markdown_table import code, table  # beside this script

from edge.errors import EdgeError, SetupError

ROOT = Path(__file__).parents[1]
MAX_FILES = 3  # in a cell; more are shown as their folders


def errors() -> str:
    files = files_that_make_errors()
    reasons, made_in = {}, defaultdict(set)
    for kind in tree(EdgeError):
        if kind is not SetupError:  # never sent
            reasons[kind.status, kind.code] = reason(kind)
            made_in[kind.status, kind.code] = files[kind.__name__] | files[kind.code]
    pages = runpy.run_path(str(ROOT / "nginx" / "error_pages.py"))["ERROR_PAGES"]
    for page in pages.values():
        row = page.status, page.code
        reasons.setdefault(row, page.message)
        made_in[row].add("nginx/error_pages.py")
    return table(
        ("status", "code", "when", "made in"),
        [
            (str(row[0]), code(row[1]), reasons[row], places(made_in[row]))
            for row in sorted(reasons)
        ],
    )


def tree(root: type[EdgeError]) -> Iterator[type[EdgeError]]:
    yield root
    for child in root.__subclasses__():
        yield from tree(child)


def reason(kind: type[EdgeError]) -> str:
    """The docstring "Raised when X." as "X."."""
    text = " ".join((kind.__doc__ or "").split()).removeprefix("Raised when ")
    return text[:1].upper() + text[1:]


def files_that_make_errors() -> dict[str, set[str]]:
    """Files by the error that they make: Python by its class, Lua by its code."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for package in ("edge", "ui", "worker"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                for name in chosen_names(node):
                    found[name].add(str(path.relative_to(ROOT)))
    for path in (ROOT / "edge/jobs/lua").glob("*.lua"):
        for literal in re.findall(r"'([a-z_]+)'", path.read_text()):
            found[literal].add(str(path.relative_to(ROOT)))
    return found


def chosen_names(node: ast.AST) -> list[str]:
    """Names that a node calls, or chooses between as `A if ... else B` or in a dict."""
    match node:
        case ast.Call(func=func):
            chosen = [func]
        case ast.IfExp(body=body, orelse=orelse):
            chosen = [body, orelse]
        case ast.Dict(values=values):
            chosen = values
        case _:
            chosen = []
    return [part.id for part in chosen if isinstance(part, ast.Name)]


def places(files: Iterable[str]) -> str:
    found = sorted(files)
    if len(found) > MAX_FILES:
        found = sorted({str(Path(file).parent) for file in found})
    return ", ".join(map(code, found))
