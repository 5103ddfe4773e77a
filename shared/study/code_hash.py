"""A hash of what code does, to tell whether what it once made may still be used."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
from collections.abc import Iterable
from pathlib import Path

from shared.data.errors import DataError

__all__ = ["code_sha256", "source_sha256"]


def code_sha256(modules: Iterable[str]) -> str:
    """Return a hash of the code of modules; comments, docstrings and layout do not count.

    Args:
        modules: names, as they are imported.

    Raises:
        DataError: if there is no such module, or not as Python source.
    """
    digest = hashlib.sha256()
    for name in sorted(modules):
        found = importlib.util.find_spec(name)
        if found is None or found.origin is None or not found.origin.endswith(".py"):
            raise DataError(f"{name}: no source file of this module; correct the list of modules that are hashed")
        digest.update(f"{name} {source_sha256(Path(found.origin).read_text(encoding='utf-8'))}".encode())
    return digest.hexdigest()


def source_sha256(source: str) -> str:
    """Return a hash of what a source text does.

    Example:
        >>> source_sha256("def f(x): return 2*x  # twice") == source_sha256("def f(x):  return (2 * x)")
        True
    """
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                del node.body[0]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()
