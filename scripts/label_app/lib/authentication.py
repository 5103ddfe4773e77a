"""Repairs of MONAI Label's OpenID authentication.

monailabel 0.8.5 verifies tokens without naming the algorithms, which PyJWT 2 refuses: every token would be invalid. A
token without roles or a realm that cannot be reached would be a fault of the server (500).
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import jwt
import requests
from fastapi import HTTPException
from monailabel.config import settings
from monailabel.endpoints.user import auth

__all__ = ["repair_token_check"]

#: signatures by the realm's private key; never those by a shared secret, which the public key could be mistaken for
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384")


def repair_token_check() -> None:
    """Have MONAI Label's own check of tokens name its algorithms, and refuse what it cannot read."""
    auth.jwt = SimpleNamespace(decode=_decode)
    auth.get_public_key = _told_if_unreachable(auth.get_public_key)


def _decode(token: str, key: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return what a token says, with a list of roles where the settings look for one.

    Raises:
        jwt.InvalidTokenError: if it is not signed by the key, has expired or never does, or names nobody.
    """
    name = settings.MONAI_LABEL_AUTH_TOKEN_USERNAME
    required = {**options, "require": ["exp", name]}
    try:
        content: dict[str, Any] = jwt.decode(token, key, algorithms=list(ALGORITHMS), options=required)
    except jwt.InvalidKeyError as error:  # the token's algorithm is of another kind than the key
        raise jwt.InvalidTokenError(str(error)) from error
    if not isinstance(content[name], str):
        raise jwt.InvalidTokenError(f"{name} is no text")
    *above, last = settings.MONAI_LABEL_AUTH_TOKEN_ROLES.split("#")
    place = content
    for part in above:
        if not isinstance(place.get(part), dict):
            place[part] = {}
        place = place[part]
    if not isinstance(place.get(last), list):
        place[last] = []
    return content


def _told_if_unreachable(get_public_key: Callable[[str], str]) -> Callable[[str], str]:
    """Return what asks a realm for its key, with an error that names the realm."""

    def get(realm: str) -> str:
        try:
            return get_public_key(realm)
        except (requests.RequestException, ValueError, KeyError) as error:
            raise HTTPException(
                503, f"the realm {realm} does not tell its public key ({type(error).__name__}); try again, or see to it"
            ) from error

    return get
