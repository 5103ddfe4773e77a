"""The labelled images of a datastore, as a worker takes them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monailabel.interfaces.datastore import Datastore, DefaultLabelTag

from lib.archives import ArchiveLimits
from lib.errors import RequestError
from lib.inputs import Input, item_of
from lib.labels import fits, label_in, read_label
from lib.served_models import ServedModel

__all__ = ["datastore_input", "labelled_items"]

logger = logging.getLogger(__name__)


def datastore_input(datastore: Datastore, image_id: str, attributes: Mapping[str, Any] | None = None) -> Input:
    """Return an image of the datastore.

    Args:
        datastore: that has it.
        image_id: its name there.
        attributes: of a request; they come before those that the datastore has.

    Raises:
        RequestError: 404 if there is none of that name.
    """
    place = datastore.get_image_uri(image_id)
    if not place or not Path(place).is_file():
        raise RequestError(f"image {image_id[:200]!r}: the datastore has none of that name", 404)
    return Input(image_id, Path(place), {**datastore.get_image_info(image_id), **(attributes or {})}, kept=True)


def labelled_items(
    datastore: Datastore, model: ServedModel, said: Mapping[str, Any], folder: Path, limits: ArchiveLimits
) -> list[dict[str, Any]]:
    """Return the images whose final label is one of a model's.

    One that cannot be laid out, as a broken archive, is left out with a line in the log: it stops no training.

    Args:
        datastore: with labels.
        model: that the labels are for.
        said: what its worker says of it.
        folder: where archives are unpacked to.
        limits: of archives.

    Raises:
        RequestError: if there are none, with what is wrong with the first of those that were left out.
    """
    tag = DefaultLabelTag.FINAL.value
    items, left_out = [], []
    for image_id in sorted(datastore.get_labeled_images()):
        given = datastore_input(datastore, image_id)
        if given.source.suffix.lower() not in model.upload_suffixes:
            continue
        try:
            content = read_label(Path(datastore.get_label_uri(image_id, tag)))
            label = label_in(content)
        except (OSError, RequestError):
            continue  # of another app, that used the folder before
        if content.get("model", model.name) == model.name and fits(label, said["classes"], said["multi_label"]):
            try:
                items.append({**item_of(given, model, folder, limits), "label": label})
            except RequestError as error:
                left_out.append(f"{image_id}: {error}")
                logger.warning(f"{model.name}: left out, {left_out[-1]}")
    if not items:
        reason = f"; {left_out[0]}" if left_out else ""
        raise RequestError(f"the datastore has no labels of {model.name} ({', '.join(said['classes'])}){reason}", 422)
    return items
