"""The app's modules, and a real server of it in its own environment."""

from __future__ import annotations

import importlib
import sys

import pytest

from tests.scripts.label_app.label_server import APP


@pytest.fixture(scope="session")
def lib():
    """Import a module of the app that needs nothing of MONAI Label: ``lib("names")``."""
    sys.path.insert(0, str(APP))
    yield lambda name: importlib.import_module(f"lib.{name}")
    sys.path.remove(str(APP))
