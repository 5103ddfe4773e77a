"""OpenID: a realm of our own signs tokens, and the server lets everyone do what their role allows."""

from __future__ import annotations

import json
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qsl

import pytest

from tests.scripts.label_app.label_server import PYTHON, Server, needs_label_environment
from tests.served_bundles import served_once

pytestmark = [pytest.mark.slow, needs_label_environment]
NAME = "leukocyte_qpi"
REALM = "/realms/monailabel"

# the label environment has what signs tokens
TOKENS = """
import base64, json, time
import jwt
from cryptography.hazmat.primitives import serialization as s
from cryptography.hazmat.primitives.asymmetric import ec, rsa

curve = ec.generate_private_key(ec.SECP256R1())
realm, other = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
public = realm.public_key().public_bytes(s.Encoding.DER, s.PublicFormat.SubjectPublicKeyInfo)
pem = realm.public_key().public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo)

def token(roles, key=realm, algorithm="RS256", lasts=3600, **others):
    content = {"preferred_username": "someone", "realm_access": {"roles": roles}, "exp": time.time() + lasts, **others}
    return jwt.encode({name: value for name, value in content.items() if value is not None}, key, algorithm)

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
    "reviewer": token(["monailabel-reviewer"]),
    "stranger": token(["monailabel-user-x", "admin"]),
    "roleless": token([], realm_access=None),
    "text as roles": token("monailabel-admin"),
    "expired": token(roles, lasts=-10),
    "endless": token(roles, exp=None),
    "nameless": token(roles, preferred_username=None),
    "forged": token(roles, key=other),
    "other kind of key": token(roles, key=curve, algorithm="ES256"),
    "shared_secret": by_shared_secret(roles),
    "unsigned": token(roles, None, "none"),
}))
"""


@pytest.fixture(scope="module")
def tokens():
    done = subprocess.run([str(PYTHON), "-W", "ignore", "-c", TOKENS], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def realm(tokens):
    """An OpenID realm as Keycloak is one: it tells its public key, where tokens are given, and gives them."""

    class Realm(BaseHTTPRequestHandler):
        def do_GET(self):
            if server.down:
                self.reply({}, 502)
            elif self.path == REALM:
                self.reply({"realm": "monailabel", "public_key": tokens["public_key"]})
            elif self.path == f"{REALM}/.well-known/openid-configuration":
                self.reply({"issuer": place, "token_endpoint": f"{place}/protocol/openid-connect/token"})
            else:
                self.reply({}, 404)

        def do_POST(self):
            asked = dict(parse_qsl(self.rfile.read(int(self.headers["Content-Length"])).decode()))
            known = {"client_id": "monailabel-app", "grant_type": "password", "username": "reader", "password": "right"}
            if self.path == f"{REALM}/protocol/openid-connect/token" and asked == known:
                self.reply({"access_token": tokens["user"], "token_type": "Bearer"})
            else:
                self.reply({"error": "invalid_grant"}, 401)

        def reply(self, content, status=200):
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(content).encode())

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Realm)
    server.down = False
    place = f"http://127.0.0.1:{server.server_port}{REALM}"
    server.place = place
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def server(realm, tokens, tmp_path_factory):
    served = served_once(NAME, tmp_path_factory)
    folder = tmp_path_factory.mktemp("authentication")
    environment = {"MONAI_LABEL_AUTH_ENABLE": "true", "MONAI_LABEL_AUTH_REALM_URI": realm.place}
    server = Server(folder / "server", served.root.parent, folder / "studies", {"models": NAME}, environment).start()
    server.cell = served.data / served.records("test")[0]["image"]
    # the key is asked for once
    realm.down = True
    server.while_down = server.http("GET", "/info/", headers={"Authorization": f"Bearer {tokens['admin']}"})
    realm.down = False
    yield server
    server.stop()


def status(server, method, path, token=None, body=None):
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    return server.http(method, path, body, headers)[0]


#: what everyone may ask: how to get a token, and the page that describes the requests
OPEN = {("GET", "/auth/"), ("POST", "/auth/token")}
#: what is not listed needs the role of a user
ROLES = {
    "annotator": {
        ("PUT", "/datastore/"), ("PUT", "/datastore/image"), ("PUT", "/datastore/image/info"),
        ("PUT", "/datastore/label"), ("PUT", "/datastore/label/info"), ("PUT", "/datastore/updatelabelinfo"),
        ("GET", "/datastore/dataset"), ("POST", "/scoring/{method}"), ("DELETE", "/scoring/"),
    },
    "admin": {
        ("POST", "/train/{model}"), ("DELETE", "/train/"), ("POST", "/batch/infer/{model}"), ("DELETE", "/batch/infer"),
        ("DELETE", "/datastore/"), ("DELETE", "/datastore/image"), ("DELETE", "/datastore/label"),
        ("GET", "/logs/"), ("GET", "/logs/gpu"), ("GET", "/model/{model}"), ("GET", "/model/info/{model}"),
    },
}  # fmt: skip
#: which the description leaves out
HIDDEN = {
    ("PUT", "/datastore/"), ("DELETE", "/datastore/"), ("PUT", "/datastore/updatelabelinfo"),
    ("POST", "/infer/wsi/{model}"),
}  # fmt: skip


@pytest.fixture(scope="module")
def routes(server):
    """Method and path of all that the server answers, but for what is open."""
    described = json.loads(server.http("GET", "/openapi.json")[2])["paths"]
    found = {(method.upper(), path) for path, methods in described.items() for method in methods} | HIDDEN
    assert found >= set.union(*ROLES.values()) | OPEN
    return sorted(found - OPEN)


def ask(server, route, token=None):
    method, path = route
    return status(server, method, path.replace("{", "").replace("}", ""), token, None)


@pytest.mark.parametrize(
    "who",
    [None, "no token", "expired", "endless", "nameless", "forged", "other kind of key", "shared_secret", "unsigned"],
)
def test_who_is_not_known_may_do_nothing(server, tokens, routes, who):
    token = tokens.get(who, who)
    assert {route: code for route in routes if (code := ask(server, route, token)) != 401} == {}


@pytest.mark.parametrize("who", ["nobody", "reviewer", "stranger", "roleless", "text as roles"])
def test_who_has_no_role_may_do_nothing(server, tokens, routes, who):
    """No request asks for the role of a reviewer, which MONAI Label's settings name: by itself it allows nothing."""
    of_everyone = ("GET", "/auth/token/valid")
    assert {route: code for route in routes if (code := ask(server, route, tokens[who])) != 403} == {of_everyone: 200}


@pytest.mark.parametrize(("who", "lacks"), [("user", ["annotator", "admin"]), ("annotator", ["admin"]), ("admin", [])])
def test_each_role_may_do_what_is_written_of_it(server, tokens, routes, who, lacks):
    forbidden = set().union(*(ROLES[role] for role in lacks))
    assert {route for route in forbidden if ask(server, route, tokens[who]) != 403} == set()
    # nothing of that kind is there, or the request says too little: it was looked at
    asked = {
        ("POST", f"/infer/{NAME}?image=none"): "user",
        ("POST", "/activelearning/random"): "user",
        ("GET", "/info/"): "user",
        ("GET", "/datastore/"): "user",
        ("PUT", "/datastore/image"): "annotator",
        ("PUT", "/datastore/label?image=none"): "annotator",
        ("POST", "/scoring/none"): "annotator",
        ("POST", "/train/none"): "admin",
        ("DELETE", "/datastore/image?id=none"): "admin",
        ("GET", f"/model/info/{NAME}"): "admin",
    }
    found = {route: status(server, *route, tokens[who], None) for route in asked}
    assert {route for route, code in found.items() if code == 403} == {r for r, role in asked.items() if role in lacks}
    assert all(code in (200, 400, 404, 422, 403) for code in found.values()), found


def test_the_client_gets_a_token_and_uses_it(server, tokens):
    assert server.call("auth_enabled") is True
    assert "refuses this name" in server.ask_client("auth_token", "reader", "wrong")["message"]
    token = server.call("auth_token", "reader", "right")
    assert server.call("auth_valid_token", token=token) is True
    assert "annotator" in server.ask_client("upload_image", server.cell, "cell", token=token)["message"]
    annotator = {"token_type": "Bearer", "access_token": tokens["annotator"]}
    assert server.call("upload_image", server.cell, "cell", token=annotator) == {"image": "cell"}
    _, answer = server.call("infer", NAME, "cell", {}, token=token)
    assert answer["model"]["bundle"] == NAME
    assert server.call("datastore", token=token)["objects"]["cell"]["image"]["info"]["user"] == "someone"


def test_nobody_gets_in_while_the_realm_is_down(server):
    code, _, body = server.while_down
    assert code == 503
    assert f"{REALM} does not tell its public key (HTTPError)" in json.loads(body)["detail"]
