"""Bag classifiers of the tests of bags."""

from tests.shared.saliency.bags.conftest import build, features, value_of

__all__ = ["build", "features", "value_of"]
