"""Bag classifiers of the tests of bags."""

from tests.shared.saliency.bags.conftest import build, features

__all__ = ["build", "features"]
