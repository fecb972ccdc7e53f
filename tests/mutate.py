"""Mutation testing: change one place of a module, run its tests, and list the changes that pass.

    python tests/mutate.py dissect/statistics/certainty.py --tests tests/statistics
    python tests/mutate.py dissect/edits --sample 100 --tests 'tests/edits -m "not slow"'

A change that no test notices is a survivor: a test is missing, or the change is no change at all
(``docs/testing.md`` lists those that were looked at). Each mutant runs in a fork of a process that
has imported the libraries, so it takes as long as its tests and no longer. Not part of the suite.
"""

import argparse
import ast
import copy
import importlib
import importlib.util
import os
import random
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIBRARIES = (
    "hypothesis", "jaxtyping", "numba", "numpy", "pandas", "playwright.sync_api", "pytest",
    "safetensors.torch", "scipy.stats", "torch", "torchvision", "xarray", "zarr",
)  # fmt: skip
COMPARISONS = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt), ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,),
}  # fmt: skip
ARITHMETIC = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd, ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.MatMult: ast.Mult,
}  # fmt: skip


def changes(node: ast.AST) -> Iterator[ast.AST | None]:  # noqa: PLR0912  (a case for each node)
    """What a node may become; ``None`` is a statement that is left out."""
    match node:
        case ast.Compare(ops=[operator]):
            for other in COMPARISONS[type(operator)]:
                yield ast.Compare(node.left, [other()], node.comparators)
        case ast.BinOp(op=operator):
            yield ast.BinOp(node.left, ARITHMETIC[type(operator)](), node.right)
        case ast.AugAssign(op=operator):
            yield ast.AugAssign(node.target, ARITHMETIC[type(operator)](), node.value)
            yield None
        case ast.BoolOp(op=operator):
            yield ast.BoolOp(ast.Or() if isinstance(operator, ast.And) else ast.And(), node.values)
        case ast.UnaryOp():
            yield node.operand
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value) | float(value)):
            yield ast.Constant(value + 1)
        case ast.IfExp() | ast.If() if not isinstance(node.test, ast.Compare):
            turned = copy.copy(node)
            turned.test = ast.UnaryOp(ast.Not(), node.test)
            yield turned
        case ast.Call():
            # `clip(x, 0, 1)` gives x, `x.sum()` gives x, and each keyword is forgotten in turn.
            if node.args and not isinstance(node.args[0], ast.Starred | ast.GeneratorExp):
                yield node.args[0]
            elif isinstance(node.func, ast.Attribute) and not node.args:
                yield node.func.value
            for k in range(len(node.keywords)):
                yield ast.Call(node.func, node.args, [*node.keywords[:k], *node.keywords[k + 1 :]])
        case ast.Expr(value=ast.Call()) | ast.Raise() | ast.Continue() | ast.Break():
            yield None


class _Places(ast.NodeTransformer):
    """Counts the changes of a module, and makes the one with number ``chosen``.

    Annotations, decorators, messages of errors and what is only for a type checker stay.
    """

    def __init__(self, chosen: int = -1) -> None:
        self.chosen, self.count, self.line, self.was, self.now = chosen, 0, 0, "", ""

    def visit(self, node: ast.AST) -> ast.AST:
        for new in changes(node):
            if self.count == self.chosen:
                self.line, self.was = node.lineno, ast.unparse(node)
                self.now = (
                    "(left out)" if new is None else ast.unparse(ast.fix_missing_locations(new))
                )
                self.count += 1
                return ast.copy_location(ast.Pass() if new is None else new, node)
            self.count += 1
        return super().visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if node.value is not None:
            node.value = self.visit(node.value)
        return node

    def visit_arguments(self, node: ast.arguments) -> ast.AST:
        node.defaults = [self.visit(value) for value in node.defaults]
        node.kw_defaults = [value and self.visit(value) for value in node.kw_defaults]
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.args = self.visit(node.args)
        node.body = [self.visit(statement) for statement in node.body]
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.body = [self.visit(statement) for statement in node.body]
        return node

    def visit_If(self, node: ast.If) -> ast.AST:
        checking = isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        return node if checking else self.generic_visit(node)


def mutant(path: Path, number: int) -> tuple[str, _Places]:
    """The text of a module after one change, and what was changed."""
    places = _Places(number)
    tree = places.visit(ast.parse(path.read_text()))
    return ast.unparse(ast.fix_missing_locations(tree)), places


class _Finder:
    """Gives one module the text of a file elsewhere."""

    def __init__(self, module: str, file: Path) -> None:
        self.module, self.file = module, file

    def find_spec(self, name: str, path: object = None, target: object = None) -> object:
        if name != self.module:
            return None
        return importlib.util.spec_from_file_location(name, self.file)


def run_tests(module: str, file: Path | None, tests: str, limit: float) -> str:
    """Run tests in a fork, with one module from a file: ``passed``, ``failed`` or ``too slow``."""
    child = os.fork()
    if child == 0:
        os.setsid()
        status = 1
        try:
            import pytest

            if file is not None:
                sys.meta_path.insert(0, _Finder(module, file))
            quiet = ["-x", "-q", "--tb=no", "-p", "no:cacheprovider"]
            early = ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # zarr is a plugin too
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            os.dup2(nowhere, 2)
            status = pytest.main([*quiet, *early, *shlex.split(tests)])
        finally:
            os._exit(int(status))
    end = time.monotonic() + limit
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return "passed" if status == 0 else "failed"
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return "too slow"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="+", type=Path, help="modules or folders of them")
    parser.add_argument("--tests", required=True, help="arguments of pytest, in one string")
    parser.add_argument("--sample", type=int, help="try this many at random, not all")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--list", action="store_true", help="print every mutant, run nothing")
    arguments = parser.parse_args()
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    files = [f for p in arguments.paths for f in (sorted(p.glob("**/*.py")) if p.is_dir() else [p])]
    every = []
    for file in files:
        places = _Places()
        places.visit(ast.parse(file.read_text()))
        every += [(file, number) for number in range(places.count)]
    total = len(every)
    if arguments.sample is not None and arguments.sample < total:
        every = sorted(random.Random(arguments.seed).sample(every, arguments.sample))
    if arguments.list:
        for file, number in every:
            _, places = mutant(file, number)
            print(f"{file}:{places.line}: {places.was!r} -> {places.now!r}")
        return
    for library in LIBRARIES:
        importlib.import_module(library)
    start = time.monotonic()
    if run_tests("", None, arguments.tests, 3600) != "passed":
        sys.exit("the tests fail without any change")
    limit = 20 + 5 * (time.monotonic() - start)
    print(
        f"{len(every)} of {total} mutants; tests take {time.monotonic() - start:.0f} s", flush=True
    )
    survivors = 0
    for file, number in every:
        text, places = mutant(file, number)
        module = ".".join(file.with_suffix("").parts).removesuffix(".__init__")
        with tempfile.TemporaryDirectory() as folder:
            changed = Path(folder, file.name)  # numba keeps what it compiles beside the text
            changed.write_text(text)
            if run_tests(module, changed, arguments.tests, limit) == "passed":
                survivors += 1
                print(f"{file}:{places.line}: {places.was!r} -> {places.now!r}", flush=True)
    print(f"{survivors} of {len(every)} survive")


if __name__ == "__main__":
    main()
