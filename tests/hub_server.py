"""A small server that speaks as much of the Hugging Face hub's API as up- and downloads take, on the loopback device.

What it answers is written after the hub's OpenAPI description and `huggingface_hub`'s own requests.
"""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml

NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
DATA_SET = rf"{NAME}(/{NAME})?"
LICENSES = {"apache-2.0", "mit", "cc-by-4.0", "other"}


@dataclass
class Repository:
    """Commits by their hash, each the files by name, and branches; private ones are shown to their owner alone."""

    private: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)

    def commit(self, files: dict[str, bytes], branch: str = "main") -> str:
        """Add files to a branch; the hash of the commit."""
        there = {**self.commits.get(self.branches.get(branch, ""), {}), **files}
        said = sorted((name, hashlib.sha256(content).hexdigest()) for name, content in there.items())
        made = hashlib.sha1(json.dumps([len(self.commits), said]).encode(), usedforsecurity=False).hexdigest()
        self.commits[made] = there
        self.branches[branch] = made
        return made


@dataclass
class Hub:
    """What a server has, and what it was asked for."""

    address: str
    repositories: dict[str, Repository] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=lambda: {"hf_of_me": "me"})  # by token
    blobs: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    broken: bool = False  # answers 503 to everything


@contextmanager
def running_hub() -> Iterator[Hub]:
    """A hub at a free port, as long as the body runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.hub = Hub(f"http://127.0.0.1:{server.server_port}")  # type: ignore[attr-defined]
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.hub  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _RefusedError(Exception):
    def __init__(self, status: int, code: str = "", message: str = "") -> None:
        self.status, self.code, self.message = status, code, message


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def hub(self) -> Hub:
        return self.server.hub  # type: ignore[attr-defined]

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def _answer(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(f"{self.command} {path}")
        try:
            if self.hub.broken:
                raise _RefusedError(503)
            for method, pattern, answer in _ROUTES:
                if method in (self.command, {"HEAD": "GET"}.get(self.command)) and (
                    found := re.fullmatch(pattern, path)
                ):
                    answer(self, **found.groupdict())
                    return
            raise _RefusedError(404)
        except _RefusedError as refused:
            headers = {"X-Error-Code": refused.code, "X-Error-Message": refused.message}
            self._send(json.dumps({"error": refused.message}).encode(), refused.status, **headers)

    def _send(self, content: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            if value:
                self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _send_json(self, value: Any, status: int = 200) -> None:
        self._send(json.dumps(value).encode(), status, **{"Content-Type": "application/json"})

    # --- who may do what

    @property
    def _owner(self) -> str | None:
        return self.hub.owners.get(self.headers.get("Authorization", "").removeprefix("Bearer "))

    def _repository(self, repo: str) -> Repository:
        found = self.hub.repositories.get(repo)
        if found is None or (found.private and self._owner != repo.split("/")[0]):
            raise _RefusedError(401 if self._owner is None else 404, "RepoNotFound", "Repository not found")
        return found

    def _owned(self, repo: str) -> Repository:
        found = self._repository(repo)
        if self._owner != repo.split("/")[0]:
            raise _RefusedError(403, "", f"You have no write access to {repo}")
        return found

    def _files(self, repo: str, revision: str) -> tuple[str, dict[str, bytes]]:
        found = self._repository(repo)
        made = found.branches.get(revision, revision)
        if made not in found.commits:
            raise _RefusedError(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return made, found.commits[made]

    # --- what is asked

    def info(self, repo: str, revision: str = "main") -> None:
        made, files = self._files(repo, revision)
        self._send_json({"id": repo, "modelId": repo, "sha": made, "siblings": [{"rfilename": name} for name in files]})

    def tree(self, repo: str, revision: str) -> None:
        _, files = self._files(repo, revision)
        entries = [
            {"type": "file", "path": name, "size": len(content), "oid": _etag(content)}
            for name, content in files.items()
        ]
        self._send_json(entries)

    def resolve(self, repo: str, revision: str, name: str) -> None:
        made, files = self._files(repo, revision)
        if name not in files:
            raise _RefusedError(404, "EntryNotFound", "Entry not found")
        self._send(files[name], X_Repo_Commit=made, ETag=f'"{_etag(files[name])}"')

    def create(self) -> None:
        asked = json.loads(self.body)
        if self._owner is None:
            raise _RefusedError(401, "", "Invalid username or password.")
        owner, name = asked["organization"] or self._owner, asked["name"]
        if owner != self._owner:
            raise _RefusedError(403, "", f"You don't have the rights to create a model under the namespace {owner!r}")
        there = f"{owner}/{name}" in self.hub.repositories
        if not there:
            made = Repository(private=asked.get("visibility") == "private" or asked.get("private") is True)
            made.commit({".gitattributes": b"*.safetensors filter=lfs\n"})
            self.hub.repositories[f"{owner}/{name}"] = made
        self._send_json({"url": f"{self.hub.address}/{owner}/{name}", "error": "exists"}, 409 if there else 200)

    def branch(self, repo: str, revision: str) -> None:
        found = self._owned(repo)
        if revision in found.branches:
            raise _RefusedError(409, "", "Reference already exists")
        found.branches[revision] = found.branches["main"]
        self._send_json({})

    def validate(self) -> None:
        """What the hub refuses of a card: YAML that it does not read, and names that it does not know."""
        _, front, _ = json.loads(self.body)["content"].split("---\n", 2)
        said = yaml.safe_load(front)
        wrong = [name for name in said.get("datasets", []) if not re.fullmatch(DATA_SET, name)]
        errors = [f'"datasets" with value "{name}" is not valid' for name in wrong]
        if said.get("license", "other") not in LICENSES:
            errors.append(f'"license" must be one of {sorted(LICENSES)}')
        results = [result for model in said.get("model-index", []) for result in model["results"]]
        if not all(one["task"]["type"] and one["dataset"]["type"] and one["dataset"]["name"] for one in results):
            errors.append('"model-index" is not valid')
        self._send_json({"errors": [{"message": one} for one in errors], "warnings": []}, 400 if errors else 200)

    def preupload(self, repo: str, revision: str) -> None:
        self._owned(repo)
        files = json.loads(self.body)["files"]
        modes = {one["path"]: "lfs" if one["path"].endswith(".safetensors") else "regular" for one in files}
        answers = [{"path": name, "uploadMode": mode, "shouldIgnore": False} for name, mode in modes.items()]
        self._send_json({"files": answers})

    def batch(self, repo: str) -> None:
        self._owned(repo)
        objects = json.loads(self.body)["objects"]
        actions = [
            {**one, "actions": {"upload": {"href": f"{self.hub.address}/blobs/{one['oid']}"}}} for one in objects
        ]
        self._send_json({"transfer": "basic", "objects": actions})

    def blob(self, oid: str) -> None:
        if hashlib.sha256(self.body).hexdigest() != oid:
            raise _RefusedError(400)
        self.hub.blobs[oid] = self.body
        self._send(b"")

    def commit(self, repo: str, revision: str) -> None:
        found, files = self._owned(repo), {}
        if revision not in found.branches:
            raise _RefusedError(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        for line in map(json.loads, self.body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.blobs[value["oid"]]
        made = found.commit(files, revision)
        self._send_json({"commitUrl": f"{self.hub.address}/{repo}/commit/{made}", "commitOid": made})


def _etag(content: bytes) -> str:
    return hashlib.sha1(content, usedforsecurity=False).hexdigest()


_REPO = rf"(?P<repo>{NAME}/{NAME})"
_ROUTES = [
    ("POST", "/api/repos/create", _Handler.create),
    ("POST", "/api/validate-yaml", _Handler.validate),
    ("POST", rf"/api/models/{_REPO}/branch/(?P<revision>.+)", _Handler.branch),
    ("POST", rf"/api/models/{_REPO}/preupload/(?P<revision>.+)", _Handler.preupload),
    ("POST", rf"/api/models/{_REPO}/commit/(?P<revision>.+)", _Handler.commit),
    ("POST", rf"/{_REPO}\.git/info/lfs/objects/batch", _Handler.batch),
    ("PUT", r"/blobs/(?P<oid>[0-9a-f]{64})", _Handler.blob),
    ("GET", rf"/api/models/{_REPO}", _Handler.info),
    ("GET", rf"/api/models/{_REPO}/revision/(?P<revision>.+)", _Handler.info),
    ("GET", rf"/api/models/{_REPO}/tree/(?P<revision>[^/]+)", _Handler.tree),
    ("GET", rf"/{_REPO}/resolve/(?P<revision>[^/]+)/(?P<name>.+)", _Handler.resolve),
]
