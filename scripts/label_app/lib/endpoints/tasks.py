"""What starts work: ``POST`` to ``/train``, ``/batch/infer``, ``/scoring`` and ``/activelearning``.

MONAI Label hands everything that a body holds to the process that it starts, and one key of it (``bundle_path``)
becomes a folder that this process imports modules from. Here only what a task knows is passed on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends
from monailabel.config import settings
from monailabel.endpoints import activelearning, batch_infer, scoring, train
from monailabel.endpoints.user.auth import RBAC, User
from monailabel.interfaces.tasks.batch_infer import BatchInferImageType

from lib.app_protocol import running_app
from lib.errors import RequestError
from lib.names import check_image_id, check_tag
from lib.parameters import IGNORED, check_lasting

__all__ = ["known_keys", "router"]

router = APIRouter()
Params = Annotated[dict[str, Any] | None, Body()]
Check = Callable[[Any], bool]


def whole(low: int, high: int) -> Check:
    """Return a check for whole numbers within limits."""
    return lambda value: type(value) is int and low <= value <= high


def is_truth(value: Any) -> bool:
    """Tell whether a value is true or false."""
    return isinstance(value, bool)


def is_text(value: Any) -> bool:
    """Tell whether a value is short text."""
    return isinstance(value, str) and len(value) <= 200


TRAINING: dict[str, Check] = {"max_epochs": whole(1, 10_000), "seed": whole(0, 2**31 - 1), "from_scratch": is_truth}
BATCH: dict[str, Check] = {"max_batch_size": whole(0, 10**6), "save_label": is_truth, "label_tag": is_text}
NEXT: dict[str, Check] = {"model": is_text, "candidates": whole(1, 10_000), "client_id": is_text}
SCORING: dict[str, Check] = {"model": is_text}
#: of MONAI Label's own clients, which mean nothing here
DROPPED = {*IGNORED, "name", "pretrained", "train_batch_size", "val_batch_size", "dataset", "dataloader", "tracking"}


class Images(StrEnum):
    """Which images of the datastore are judged."""

    all = "all"
    labeled = "labeled"
    unlabeled = "unlabeled"


@router.post("/train/{model}", tags=["Train"], summary="Train on the labels in the datastore")
def start_training(
    model: str,
    _: Annotated[User, Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ADMIN))],
    params: Params = None,
    run_sync: bool = False,
    enqueue: bool = False,
) -> Any:
    """Train a model, calibrate it and serve it; ``params``: ``max_epochs``, ``seed``, ``from_scratch``."""
    running_app().infer_task(model)
    return train.run_model(model, known_keys(params, TRAINING), run_sync, enqueue)


@router.post("/batch/infer/{model}", tags=["Infer"], summary="Judge many images of the datastore")
def start_batch(
    model: str,
    _: Annotated[User, Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ADMIN))],
    images: Images = Images.all,
    params: Params = None,
    run_sync: bool = False,
) -> Any:
    """Judge images; ``params``: ``max_batch_size``, ``save_label``, ``label_tag``."""
    running_app().infer_task(model)
    known = known_keys(params, BATCH)
    if "label_tag" in known:
        check_tag(known["label_tag"])
    return batch_infer.run(model, BatchInferImageType(images.value), known, run_sync)


@router.post("/scoring/{method}", tags=["Scoring"], summary="Compare predictions with labels")
def start_scoring(
    method: str,
    _: Annotated[User, Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ANNOTATOR))],
    params: Params = None,
    run_sync: bool = False,
) -> Any:
    """Score; ``params``: ``model``."""
    known = known_keys(params, SCORING)
    if method not in (methods := running_app().info()["scoring"]):
        raise RequestError(f"scoring {method[:100]!r}: expected one of {', '.join(methods)}", 404)
    if "model" in known:
        running_app().infer_task(known["model"])
    return scoring.run_method(method, known, run_sync)


@router.post("/activelearning/{strategy}", tags=["ActiveLearning"], summary="Say which image to label next")
def next_image(
    strategy: str, user: Annotated[User, Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))], params: Params = None
) -> Any:
    """Choose an image; ``params``: ``model``, ``candidates``, ``client_id``."""
    check_image_id(strategy)
    return activelearning.sample(strategy, known_keys(params, NEXT), user.username)


def known_keys(params: Mapping[str, Any] | None, known: Mapping[str, Check]) -> dict[str, Any]:
    """Return what a task knows of a body; keys of MONAI Label's own clients are dropped.

    Raises:
        RequestError: naming another key, or one whose value is of another kind.
    """
    check_lasting(params)
    found: dict[str, Any] = {}
    for key, value in (params or {}).items():
        if key in known:
            if value is None:
                continue
            if not known[key](value):
                raise RequestError(f"params: {key} is {str(value)[:100]!r}, which it cannot be")
            found[key] = value
        elif key not in DROPPED:
            raise RequestError(f"params: unknown key {key[:100]!r}, expected some of {', '.join(known)}")
    return found
