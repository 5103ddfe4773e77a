"""``/session/``: files that several requests are about, unpacked with care."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Form, UploadFile
from monailabel.config import settings
from monailabel.endpoints.session import get_session, remove_session
from monailabel.endpoints.user.auth import RBAC

from lib.app_protocol import running_app
from lib.archives import unpack_images
from lib.errors import RequestError
from lib.inputs import key_of
from lib.names import check_session_id, file_suffix
from lib.served_models import ARCHIVE

__all__ = ["router"]

router = APIRouter(
    prefix="/session", tags=["Session"], dependencies=[Depends(RBAC(settings.MONAI_LABEL_AUTH_ROLE_USER))]
)


@router.put("/", summary="Create a session from images, or from an archive of them")
def create(
    files: Annotated[list[UploadFile], File()],
    uncompress: bool = False,
    expiry: int = 0,
    unpack: Annotated[bool, Form(alias="uncompress")] = False,
) -> dict[str, Any]:
    """Keep files under the name of a session, for ``expiry`` seconds after their last use.

    With ``uncompress`` (as query or, for MONAI Label's own client, as form field) an archive is unpacked.
    """
    app = running_app()
    suffixes = sorted({suffix for model in app.models.values() for suffix in (*model.image_suffixes, ARCHIVE)})
    folder = Path(tempfile.mkdtemp(prefix="label-session-"))
    try:
        received = [_receive(file, folder / "received", suffixes) for file in files]
        if uncompress or unpack:
            if len(received) != 1 or received[0].suffix != ARCHIVE:
                raise RequestError(f"uncompress: expected one {ARCHIVE} archive")
            content = folder / "unpacked"
            unpack_images(received[0], content, [name for name in suffixes if name != ARCHIVE], app.settings.archive)
        else:
            content = received[0] if len(received) == 1 else folder / "received"
        session_id, info = app.sessions().add_session(str(content), max(expiry, 0), False)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {"session_id": session_id, "session_info": info.to_json()}


@router.get("/{session_id}", summary="Get a session")
async def show(session_id: str, update_ts: bool = False) -> Any:
    """Return what is known of a session."""
    return get_session(check_session_id(session_id), update_ts, False)


@router.delete("/{session_id}", summary="Delete a session")
async def remove(session_id: str) -> Any:
    """Delete a session and its files."""
    return remove_session(check_session_id(session_id))


def _receive(file: UploadFile, folder: Path, suffixes: list[str]) -> Path:
    suffix = file_suffix(file.filename, suffixes)
    folder.mkdir(exist_ok=True)
    stem = Path((file.filename or "").replace("\\", "/")).stem
    place = folder / f"{key_of(stem)}{suffix}"
    try:
        with place.open("xb") as stream:
            shutil.copyfileobj(file.file, stream)
    except FileExistsError:
        raise RequestError(f"file {file.filename!r}: sent twice") from None
    return place
