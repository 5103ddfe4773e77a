"""The folder of images and labels, looked at and changed by one thread at a time."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

from monailabel.datastore.local import LocalDatastore

__all__ = ["FolderDatastore"]

#: what reads or changes the records
METHODS = (
    "_on_modify_event",
    "add_image",
    "datalist",
    "get_image_info",
    "get_image_uri",
    "get_label_by_image_id",
    "get_label_info",
    "get_label_uri",
    "get_labeled_images",
    "get_labels_by_image_id",
    "get_unlabeled_images",
    "json",
    "list_images",
    "refresh",
    "save_label",
    "status",
    "update_image_info",
    "update_label_info",
)


class FolderDatastore(LocalDatastore):
    """MONAI Label's datastore of a folder, which requests may use while it is watched.

    In monailabel 0.8.5 an upload at the wrong moment ends the thread that watches the folder ("dictionary changed size
    during iteration"), and with it all notice of files that come and go; a request may find the records empty.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._turn = threading.RLock()
        super().__init__(*args, **kwargs)

    def remove_image(self, image_id: str) -> None:
        """Remove an image and its labels, at once and not when the folder is looked at again."""
        with self._turn:
            super().remove_image(image_id)
            self.refresh()

    def remove_label(self, label_id: str, label_tag: str) -> None:
        """Remove a label, at once and not when the folder is looked at again."""
        with self._turn:
            super().remove_label(label_id, label_tag)
            self.refresh()


def _in_turn(name: str) -> Callable[..., Any]:
    inherited = getattr(LocalDatastore, name)

    @functools.wraps(inherited)
    def method(self: FolderDatastore, *args: Any, **kwargs: Any) -> Any:
        with self._turn:
            return inherited(self, *args, **kwargs)

    return method


for _name in METHODS:
    setattr(FolderDatastore, _name, _in_turn(_name))
