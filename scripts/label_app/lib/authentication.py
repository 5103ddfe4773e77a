"""A repair of MONAI Label's OpenID authentication.

monailabel 0.8.5 verifies tokens without naming the algorithms, which PyJWT 2 refuses: every token would be invalid.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import jwt
from monailabel.endpoints.user import auth

__all__ = ["repair_token_check"]

#: signatures by the realm's private key; never those by a shared secret, which the public key could be mistaken for
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384")


def repair_token_check() -> None:
    """Have MONAI Label's own check of tokens name the algorithms that it accepts."""
    auth.jwt = SimpleNamespace(decode=_decode)


def _decode(token: str, key: str, options: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = jwt.decode(token, key, algorithms=list(ALGORITHMS), options=options)
    return content
