"""OpenID: a realm of our own signs tokens, and the server lets everyone do what their role allows."""

from __future__ import annotations

import json
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.scripts.label_app.label_server import PYTHON, Server, needs_label_environment
from tests.served_bundles import served_once

pytestmark = [pytest.mark.slow, needs_label_environment]
NAME = "leukocyte_qpi"

# the label environment has what signs tokens
TOKENS = """
import base64, json, time
import jwt
from cryptography.hazmat.primitives import serialization as s
from cryptography.hazmat.primitives.asymmetric import rsa

realm, other = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
public = realm.public_key().public_bytes(s.Encoding.DER, s.PublicFormat.SubjectPublicKeyInfo)
pem = realm.public_key().public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo)

def token(roles, key=realm, algorithm="RS256", lasts=3600):
    content = {"preferred_username": "someone", "realm_access": {"roles": roles}, "exp": time.time() + lasts}
    return jwt.encode(content, key, algorithm)

def by_shared_secret(roles):
    # signed by the public key as if it were a secret, which PyJWT refuses to do by itself
    import hashlib, hmac
    part = lambda data: base64.urlsafe_b64encode(data).rstrip(b"=")
    head = part(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    body = part(json.dumps({"realm_access": {"roles": roles}, "exp": time.time() + 3600}).encode())
    return b".".join([head, body, part(hmac.new(pem, head + b"." + body, hashlib.sha256).digest())]).decode()

roles = ["monailabel-admin", "monailabel-annotator", "monailabel-user"]
print(json.dumps({
    "public_key": base64.b64encode(public).decode(),
    "user": token(["monailabel-user"]),
    "annotator": token(["monailabel-user", "monailabel-annotator"]),
    "admin": token(roles),
    "nobody": token([]),
    "expired": token(roles, lasts=-10),
    "forged": token(roles, key=other),
    "shared_secret": by_shared_secret(roles),
    "unsigned": jwt.encode({"realm_access": {"roles": roles}}, None, "none"),
}))
"""


@pytest.fixture(scope="module")
def tokens():
    done = subprocess.run([str(PYTHON), "-W", "ignore", "-c", TOKENS], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def realm(tokens):
    """An OpenID realm that tells its public key, as Keycloak does."""

    class Realm(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps({"public_key": tokens["public_key"]}).encode())

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Realm)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/realms/monailabel"
    server.shutdown()


@pytest.fixture(scope="module")
def server(realm, tmp_path_factory):
    served = served_once(NAME, tmp_path_factory)
    folder = tmp_path_factory.mktemp("authentication")
    environment = {"MONAI_LABEL_AUTH_ENABLE": "true", "MONAI_LABEL_AUTH_REALM_URI": realm}
    server = Server(folder / "server", served.root.parent, folder / "studies", {"models": NAME}, environment).start()
    server.cell = served.data / served.records("test")[0]["image"]
    yield server
    server.stop()


def status(server, method, path, token=None, body=None):
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    return server.http(method, path, body, headers)[0]


@pytest.mark.parametrize("who", [None, "expired", "forged", "shared_secret", "unsigned", "no token"])
def test_who_is_not_known_may_do_nothing(server, tokens, who):
    token = tokens.get(who, who)
    for method, path in (
        ("GET", "/info/"), ("POST", f"/infer/{NAME}?image=x"), ("POST", f"/infer/wsi_v2/{NAME}?image=x"),
        ("PUT", "/datastore/image"), ("PUT", "/datastore/label?image=x"), ("PUT", "/datastore/image/info?image=x"),
        ("GET", "/datastore/"), ("PUT", "/session/"), ("GET", "/session/x"), ("POST", "/activelearning/random"),
        ("POST", f"/train/{NAME}"), ("POST", "/scoring/agreement"), ("POST", f"/batch/infer/{NAME}"),
        ("GET", f"/model/info/{NAME}"), ("GET", "/logs/"),
    ):  # fmt: skip
        assert status(server, method, path, token) == 401, path


@pytest.mark.parametrize(
    ("who", "allowed"),
    [
        ("nobody", ()),
        ("user", ("infer", "next")),
        ("annotator", ("infer", "next", "upload", "score")),
        ("admin", ("infer", "next", "upload", "score", "train")),
    ],
)
def test_roles(server, tokens, who, allowed):
    token = tokens[who]
    # 404 and 422 say that the question was looked at
    asked = {
        "infer": ("POST", f"/infer/{NAME}?image=none", None),
        "next": ("POST", "/activelearning/random", b"{}"),
        "upload": ("PUT", "/datastore/image", None),
        "score": ("POST", "/scoring/agreement", b'{"model": "none"}'),
        "train": ("POST", "/train/none", b"{}"),
    }
    found = {name: status(server, method, path, token, body) for name, (method, path, body) in asked.items()}
    assert {name for name, code in found.items() if code != 403} == set(allowed), found
    assert all(code in (200, 404, 422) for name, code in found.items() if name in allowed), found


def test_the_client_with_a_token(server, tokens):
    token = {"token_type": "Bearer", "access_token": tokens["annotator"]}
    assert server.call("auth_enabled") is True
    assert server.call("upload_image", server.cell, "cell", token=token) == {"image": "cell"}
    _, answer = server.call("infer", NAME, "cell", {}, token=token)
    assert answer["model"]["bundle"] == NAME
    assert server.call("datastore", token=token)["objects"]["cell"]["image"]["info"]["user"] == "someone"
