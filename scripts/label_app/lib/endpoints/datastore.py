"""Requests to ``/datastore``: images of kinds that a model reads, labels that are a model's, and all of it as a ZIP."""

from __future__ import annotations

import filecmp
import json
import os
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Form, UploadFile
from fastapi.responses import FileResponse
from monailabel.config import settings
from monailabel.endpoints.user.auth import RBAC, User
from monailabel.interfaces.datastore import DefaultLabelTag
from starlette.background import BackgroundTask

from lib.app_protocol import running_app
from lib.errors import RequestError
from lib.labels import fits, label_in, read_label
from lib.names import check_image_id, check_tag, file_suffix
from lib.parameters import InferParameters, read_object
from lib.served_models import ARCHIVE

__all__ = ["router"]

router = APIRouter(prefix="/datastore", tags=["Datastore"])
#: what the datastore itself knows of a label
OF_THE_DATASTORE = ("name", "ts", "checksum", "model", "user")
Annotator = Annotated[User, Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_ANNOTATOR))]


# coroutines that never wait: one after another, as the datastore needs it
@router.put("/image", summary="Upload an image")
@router.put("/", include_in_schema=False)
async def add_image(
    user: Annotator,
    file: Annotated[UploadFile, File()],
    params: Annotated[str, Form()] = "{}",
    image: str | None = None,
) -> dict[str, Any]:
    """Keep an image, or the images of a patient as an archive; ``params`` are attributes of the patient.

    Another image under a name that is taken is refused: labels of the one would be those of the other.
    """
    app = running_app()
    suffixes = sorted({suffix for model in app.models.values() for suffix in model.upload_suffixes})
    suffix = file_suffix(file.filename, suffixes)
    attributes = dict(InferParameters.of_json(read_object(params)).attributes)
    # MONAI Label's client sends "None" where no name is given
    named = image if image and image != "None" else Path((file.filename or "").replace("\\", "/")).stem
    image_id = check_image_id(named)
    with tempfile.TemporaryDirectory(prefix="label-upload-") as folder:
        place = Path(folder) / f"upload{suffix}"
        with place.open("wb") as stream:
            shutil.copyfileobj(file.file, stream)
        if suffix == ARCHIVE and not zipfile.is_zipfile(place):
            raise RequestError("archive: cannot be read as ZIP")
        info = {**attributes, "user": user.username}
        present = app.datastore().get_image_uri(image_id)
        if present and Path(present).is_file():
            if Path(present).suffix.lower() != suffix or not filecmp.cmp(present, place, shallow=False):
                raise RequestError(f"image {image_id!r}: the datastore has another one of that name", 409)
            app.datastore().update_image_info(image_id, info)
            return {"image": image_id}
        return {"image": app.datastore().add_image(image_id, str(place), info)}


@router.put("/image/info", summary="Say more of an image")
async def update_image_info(image: str, user: Annotator, info: Annotated[str, Form()] = "{}") -> dict[str, Any]:
    """Keep attributes of the patient with an image."""
    app = running_app()
    attributes = dict(InferParameters.of_json(read_object(info, "info")).attributes)
    if not app.datastore().get_image_uri(check_image_id(image)):
        raise RequestError(f"image {image!r}: the datastore has none of that name", 404)
    app.datastore().update_image_info(image, {**attributes, "user": user.username})
    return attributes


@router.put("/label", summary="Save a label")
async def save_label(
    image: str,
    user: Annotator,
    label: Annotated[UploadFile, File()],
    params: Annotated[str, Form()] = "{}",
    tag: str = DefaultLabelTag.FINAL.value,
) -> dict[str, Any]:
    """Keep a label of an image: JSON, as ``{"label": "neutrophil"}`` or ``{"edema": 1}``.

    ``params`` may name the ``model`` that it is for, where several models have such a class.
    """
    app = running_app()
    check_image_id(image)
    check_tag(tag)
    if not app.datastore().get_image_uri(image):
        raise RequestError(f"image {image!r}: the datastore has none of that name", 404)
    file_suffix(label.filename, [".json"], "label")
    with tempfile.TemporaryDirectory(prefix="label-label-") as folder:
        place = Path(folder) / "label.json"
        with place.open("wb") as stream:
            shutil.copyfileobj(label.file, stream)
        content = read_label(place)
        said = label_in(content)
        model = _model_of(said, read_object(params).get("model") or content.get("model"))
        place.write_text(json.dumps({"label": said, "model": model}, ensure_ascii=False), encoding="utf-8")
        info = {"model": model, "user": user.username}
        label_id = app.datastore().save_label(image, str(place), tag, info)
    return {"image": image, "label": label_id, "model": model}


@router.put("/label/info", summary="Say more of a label")
async def update_label_info(
    label: str, tag: str, user: Annotator, info: Annotated[str, Form()] = "{}"
) -> dict[str, Any]:
    """Keep remarks with a label: an object of texts and numbers."""
    return _keep_remarks(label, tag, user, read_object(info, "info"))


@router.put("/updatelabelinfo", include_in_schema=False)
async def update_label_params(
    label: str, tag: str, user: Annotator, params: Annotated[str, Form()] = "{}"
) -> dict[str, Any]:
    """Answer as ``/datastore/label/info`` does, with the field that older clients send."""
    return _keep_remarks(label, tag, user, read_object(params))


@router.get("/dataset", summary="Download all labelled images as a ZIP archive")
async def download_dataset(_: Annotator, limit_cases: int | None = None) -> FileResponse:
    """Send labelled images with their labels.

    The archive holds images of patients: it is removed once it is sent. MONAI Label's own answer leaves it.
    """
    datastore = running_app().datastore()
    if not datastore.datalist():
        raise RequestError("datastore: no image has a label yet, so there is nothing to send", 404)
    archive = datastore.get_dataset_archive(limit_cases)
    removal = BackgroundTask(os.unlink, archive)
    return FileResponse(archive, media_type="application/zip", filename="dataset.zip", background=removal)


def _keep_remarks(label: str, tag: str, user: User, remarks: dict[str, Any]) -> dict[str, Any]:
    app = running_app()
    if not app.datastore().get_label_uri(check_image_id(label), check_tag(tag)):
        raise RequestError(f"label {label!r}: the datastore has none with the tag {tag!r}", 404)
    for key, value in remarks.items():
        if key in OF_THE_DATASTORE or isinstance(value, bool) or not isinstance(value, int | float | str):
            raise RequestError(f"info: {key[:100]!r} cannot be set to {str(value)[:100]!r}, expected texts and numbers")
    app.datastore().update_label_info(label, tag, {**remarks, "user": user.username})
    return remarks


def _model_of(label: str | dict[str, int], named: str | None) -> str:
    """Return the model that a label is for.

    Raises:
        RequestError: if it is no model's, or several have such a class and none is named.
    """
    app = running_app()
    if named is not None:
        app.infer_task(str(named))
    said = {name: app.infer_task(name).said for name in app.models}
    fitting = [name for name, entry in said.items() if fits(label, entry["classes"], entry["multi_label"])]
    if named is not None:
        fitting = [name for name in fitting if name == named]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise RequestError(f"label {label!r}: is one of {', '.join(fitting)}; name the model in params")
    expected = "; ".join(f"{name}: {', '.join(entry['classes'])}" for name, entry in said.items())
    raise RequestError(f"label {label!r}: is none of a model's classes ({expected})", 422)
