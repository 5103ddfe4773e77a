"""A handler that other parts of a config refer to, in a list of handlers."""

from __future__ import annotations

from typing import TypeVar

__all__ = ["handler_reference"]

Handler = TypeVar("Handler")


def handler_reference(handler: Handler) -> Handler:
    """Return the handler itself.

    Where a config defines a handler under a key of its own, so that others can refer to it by name and not by its
    place in the list, the list would name it by a plain reference. But MONAI's ``ConfigWorkflow.check_properties``
    reads ``_target_`` of each of the trainer's handlers, and fails on a plain reference::

        {"_target_": "shared.training.handler_reference.handler_reference", "handler": "@train#best_model"}

    Args:
        handler: the handler that is defined elsewhere.
    """
    return handler
