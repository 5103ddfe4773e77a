"""The app as endpoints see it."""

from __future__ import annotations

from typing import Any, Protocol

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.utils.app import app_instance

from lib.infers.bundle_infer import BundleInfer
from lib.served_models import ServedModel
from lib.settings import AppSettings

__all__ = ["BundleAppProtocol", "running_app"]


class BundleAppProtocol(Protocol):
    """What ``main.py`` defines; MONAI Label loads that file by its path, not as a module that others could import."""

    settings: AppSettings
    models: dict[str, ServedModel]

    def infer_task(self, model: str) -> BundleInfer:
        """Return the task of a model."""

    def info(self) -> dict[str, Any]:
        """Return what the app is and has."""

    def datastore(self) -> Datastore:
        """Return the datastore."""

    def sessions(self) -> Any:
        """Return the sessions."""


def running_app() -> BundleAppProtocol:
    """Return the app of this server."""
    app: BundleAppProtocol = app_instance()
    return app
