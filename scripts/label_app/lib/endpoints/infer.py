"""``POST /infer/{model}`` and its forms for whole slides: one answer for one image, slide or patient."""

from __future__ import annotations

import json
import shutil
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Body, Depends, File, Form, UploadFile
from fastapi.responses import FileResponse, Response
from monailabel.config import settings
from monailabel.endpoints.user.auth import RBAC
from monailabel.utils.others.generic import get_mime_type
from requests_toolbelt import MultipartEncoder

from lib.app_protocol import running_app
from lib.errors import RequestError
from lib.inputs import Input
from lib.labelled import datastore_input
from lib.names import check_image_id, check_session_id, file_suffix
from lib.parameters import InferParameters, check_lasting, read_object

__all__ = ["router"]

router = APIRouter(prefix="/infer", tags=["Infer"], dependencies=[Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))])


class Output(StrEnum):
    """What an answer consists of."""

    json = "json"
    image = "image"
    all = "all"


class SlideOutput(StrEnum):
    """What an answer for a slide consists of."""

    json = "json"
    asap = "asap"
    dsa = "dsa"


# neither is a coroutine: an answer takes its time in a thread, and the server goes on answering others
@router.post("/{model}", summary="One calibrated answer, with an explanation if it is asked for")
def infer(
    background: BackgroundTasks,
    model: str,
    image: str = "",
    session_id: str = "",
    params: Annotated[str, Form()] = "{}",
    file: Annotated[UploadFile | None, File()] = None,
    output: Output | None = None,
) -> Any:
    """Answer for an image of the datastore, a session or a file that is sent.

    ``params`` is a JSON object with ``explain`` (true or false), ``method``, ``target_class``, ``file`` (which file of
    the explanation ``output=image`` returns) and attributes of the patient.
    """
    parameters = InferParameters.of_json(read_object(params))
    if output is None and parameters.explain:
        output = Output.all  # as MONAI Label's own client expects it
    return _answer(background, model, image, session_id, parameters, file, output)


@router.post("/wsi_v2/{model}", summary="One calibrated answer for a whole slide")
def infer_slide_form(
    background: BackgroundTasks,
    model: str,
    image: str = "",
    session_id: str = "",
    file: Annotated[UploadFile | None, File()] = None,
    wsi: Annotated[str, Form()] = "{}",
    output: SlideOutput | None = None,
) -> Any:
    """Answer as ``/infer/{model}`` does: the slide is one bag, whatever region a viewer has in sight."""
    return _answer_slide(background, model, image, session_id, file, read_object(wsi, "wsi"), output)


@router.post("/wsi/{model}", include_in_schema=False)
def infer_slide(
    background: BackgroundTasks,
    model: str,
    image: str = "",
    session_id: str = "",
    wsi: Annotated[dict[str, Any] | None, Body()] = None,
    output: SlideOutput | None = None,
) -> Any:
    """Answer as ``/infer/wsi_v2/{model}`` does, with a JSON body."""
    check_lasting(wsi, "wsi")
    return _answer_slide(background, model, image, session_id, None, wsi or {}, output)


def _answer_slide(
    background: BackgroundTasks,
    model: str,
    image: str,
    session_id: str,
    file: UploadFile | None,
    wsi: dict[str, Any],
    output: SlideOutput | None,
) -> Any:
    inner = wsi.pop("params", None) or {}
    if not isinstance(inner, dict):
        raise RequestError("params: expected a JSON object")
    parameters = InferParameters.of_json({"explain": True, **wsi, **inner})
    if output is None or output is SlideOutput.json:
        return _answer(background, model, image, session_id, parameters, file, Output.json)
    if output is SlideOutput.dsa:
        raise RequestError("output=dsa: annotations of the Digital Slide Archive are not written; use json, or asap")
    wanted = InferParameters(True, parameters.method, parameters.target_class, "asap_xml", parameters.attributes)
    return _answer(background, model, image, session_id, wanted, file, Output.image)


def _answer(
    background: BackgroundTasks,
    model: str,
    image: str,
    session_id: str,
    parameters: InferParameters,
    file: UploadFile | None,
    output: Output | None,
) -> Any:
    app = running_app()
    infer_task = app.infer_task(model)
    if sum(map(bool, (image, session_id, file))) != 1:
        raise RequestError("expected one of image, session_id and file")
    received: Path | None = None
    try:
        if file:
            suffix = file_suffix(file.filename, infer_task.model.upload_suffixes)
            received = Path(tempfile.mkdtemp(prefix="label-upload-"))
            source = received / f"upload{suffix}"
            with source.open("wb") as stream:
                shutil.copyfileobj(file.file, stream)
            given = Input(Path((file.filename or "").replace("\\", "/")).name[:200], source, parameters.attributes)
        elif session_id:
            session = app.sessions().get_session(check_session_id(session_id))
            if session is None:
                raise RequestError(f"session {session_id}: there is none, or it has expired", 404)
            given = Input(f"session-{session_id}", Path(session.image), parameters.attributes)
        else:
            given = datastore_input(app.datastore(), check_image_id(image), parameters.attributes)
        asked = {"input": given, "parameters": parameters, "output": None if output is None else output.value}
        path, said = infer_task(asked)
    finally:
        if received is not None:
            shutil.rmtree(received, ignore_errors=True)
    return _response(background, path, said, output)


def _response(background: BackgroundTasks, path: str | None, said: dict[str, Any], output: Output | None) -> Any:
    if path is None:
        return said
    folder = Path(path).parent
    name = Path(path).name
    if output is Output.image:
        background.add_task(shutil.rmtree, folder, ignore_errors=True)
        return FileResponse(path, media_type=get_mime_type(path), filename=name)
    with Path(path).open("rb") as stream:
        fields = {
            "params": (None, json.dumps(said), "application/json"),
            "image": (name, stream, get_mime_type(path)),
        }
        encoded = MultipartEncoder(fields=fields)
        content = encoded.to_string()
    shutil.rmtree(folder, ignore_errors=True)
    return Response(content=content, media_type=encoded.content_type)
