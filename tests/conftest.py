"""Fixtures for all tests: each bundle's ``scripts`` package by name, although all bundles call it the same."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
os.environ.setdefault("MPLBACKEND", "Agg")


def unload_bundle_scripts() -> None:
    """Forget the ``scripts`` package, and take the bundles' roots off the module path."""
    for name in [name for name in sys.modules if name == "scripts" or name.startswith("scripts.")]:
        del sys.modules[name]
    sys.path[:] = [entry for entry in sys.path if Path(entry).parent != REPOSITORY / "bundles"]


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the repository."""
    return REPOSITORY


@pytest.fixture(scope="module")
def bundle_scripts():
    """Import modules of one bundle's ``scripts`` package: ``bundle_scripts("leukocyte_qpi")("networks")``."""

    def choose(bundle: str) -> Callable[[str], ModuleType]:
        unload_bundle_scripts()
        sys.path.insert(0, str(REPOSITORY / "bundles" / bundle))
        importlib.invalidate_caches()
        return lambda module: importlib.import_module(f"scripts.{module}")

    yield choose
    unload_bundle_scripts()
