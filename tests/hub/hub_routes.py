"""The Hub's wire calls, one function each, modelled on the client of huggingface_hub 2.4."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote

import hub_rules
from hub_store import Commit, Entry, HubRefusal, HubStore, Repository, User

LIBRARY_FILE = "/(?:(?P<kind>dataset|space)s/)?(?P<name>[^/]+/[^/]+)"
API = "/api/(?P<kind>model|dataset|space)s/(?P<name>[^/]+/[^/]+)"
REVISION = "(?P<revision>[^/]+)"


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, list[str]]
    headers: Any
    body: bytes
    base: str
    storage: str
    part_bytes: int | None
    values: dict[str, str] = field(default_factory=dict)

    @property
    def json(self) -> Any:
        return json.loads(self.body or b"{}")

    @property
    def kind(self) -> str:
        return self.values.get("kind") or "model"


@dataclass
class Response:
    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, value: Any, status: int = 200) -> "Response":
        return cls(json.dumps(value).encode(), status, {"Content-Type": "application/json"})


Route = Callable[[HubStore, User | None, Request], Response]
ROUTES: list[tuple[str, re.Pattern[str], Route]] = []


def route(methods: str, pattern: str) -> Callable[[Route], Route]:
    def register(function: Route) -> Route:
        ROUTES.extend((method, re.compile(pattern + "$"), function) for method in methods.split())
        return function

    return register


def answer(store: HubStore, request: Request) -> Response:
    """The response to a request; a refusal becomes its status, with the code and message where clients look."""
    try:
        for method, pattern, function in ROUTES:
            match = pattern.match(request.path)
            if method == request.method and match:
                request.values = {key: unquote(value) for key, value in match.groupdict().items() if value}
                # Signed storage URLs need no token, like those of a storage provider.
                signed = request.path.startswith(("/storage/", "/cdn/"))
                user = None if signed else store.user(request.headers.get("Authorization"))
                return function(store, user, request)
        raise HubRefusal(404, f"no such call: {request.method} {request.path}")
    except HubRefusal as refusal:
        response = Response.of({"error": refusal.message}, refusal.status)
        response.headers |= {"X-Error-Message": refusal.message}
        response.headers |= {"X-Error-Code": refusal.code} if refusal.code else {}
        return response


def _open(store: HubStore, user: User | None, request: Request, *, write: bool = False) -> Repository:
    return store.open(user, request.kind, request.values["name"], write=write)


def _at(store: HubStore, user: User | None, request: Request) -> Commit:
    return _open(store, user, request).at(request.values.get("revision", "main"))


@route("POST", "/api/repos/create")
def create(store: HubStore, user: User | None, request: Request) -> Response:
    wanted = request.json
    kind = wanted.get("type") or "model"
    if user is None:
        raise HubRefusal(401, "Invalid username or password.")
    name = f"{wanted.get('organization') or user.name}/{wanted['name']}"
    url = f"{request.base}/{'' if kind == 'model' else kind + 's/'}{name}"
    try:
        store.create(user, kind, name, wanted.get("visibility") == "private")
    except HubRefusal as refusal:
        if refusal.status != 409:
            raise
        return Response.of({"error": refusal.message, "url": url, "name": name}, 409)
    return Response.of({"url": url, "name": name})


@route("GET", "/api/whoami-v2")
def whoami(store: HubStore, user: User | None, request: Request) -> Response:
    if user is None:
        raise HubRefusal(401, "Invalid username or password.")
    return Response.of({"name": user.name, "type": "user", "orgs": []})


@route("POST", "/api/validate-yaml")
def validate_yaml(store: HubStore, user: User | None, request: Request) -> Response:
    errors = hub_rules.card_errors(request.json["content"], request.json["repoType"])
    found = {"errors": [{"message": error} for error in errors], "warnings": []}
    return Response.of(found, 400 if errors else 200)


@route("GET", f"{API}(?:/revision/{REVISION})?")
def info(store: HubStore, user: User | None, request: Request) -> Response:
    repository, commit = _open(store, user, request), _at(store, user, request)
    card = hub_rules.card_metadata(commit.files["README.md"].data.decode()) if "README.md" in commit.files else {}
    tags = [tag for tag in card.get("tags", []) if isinstance(tag, str)]
    return Response.of(
        {
            "id": repository.name,
            "author": repository.name.split("/")[0],
            "sha": commit.oid,
            "lastModified": commit.written,
            "private": repository.private,
            "disabled": False,
            "gated": False,
            "tags": tags,
            "pipeline_tag": card.get("pipeline_tag"),
            "cardData": card,
            "siblings": [{"rfilename": path} for path in sorted(commit.files)],
        }
    )


def _listed(path: str, entry: Entry, commit: Commit) -> dict[str, Any]:
    listed: dict[str, Any] = {"type": "file", "path": path, "size": len(entry.data), "oid": entry.git_oid}
    if entry.large:
        listed["lfs"] = {"oid": entry.sha256, "size": len(entry.data), "pointerSize": len(entry.pointer)}
    return listed | {"lastCommit": {"id": commit.oid, "title": commit.title, "date": commit.written}}


def _folders(files: dict[str, Entry]) -> set[str]:
    return {"/".join(path.split("/")[:depth]) for path in files for depth in range(1, path.count("/") + 1)}


@route("GET", f"{API}/tree/{REVISION}(?:/(?P<path>.+))?")
def tree(store: HubStore, user: User | None, request: Request) -> Response:
    commit = _at(store, user, request)
    prefix = f"{request.values['path'].rstrip('/')}/" if "path" in request.values else ""
    recursive = request.query.get("recursive", ["false"])[0].lower() in ("true", "1")
    if prefix and not any(path.startswith(prefix) for path in commit.files):
        raise HubRefusal(404, f"{prefix} does not exist", "EntryNotFound")
    listed = [_listed(path, entry, commit) for path, entry in commit.files.items()]
    listed += [{"type": "directory", "path": path, "size": 0, "oid": "0" * 40} for path in _folders(commit.files)]
    inside = [item for item in listed if item["path"].startswith(prefix)]
    wanted = [item for item in inside if recursive or "/" not in item["path"][len(prefix) :]]
    return Response.of(sorted(wanted, key=lambda item: item["path"]))


@route("POST", f"{API}/paths-info/{REVISION}")
def paths_info(store: HubStore, user: User | None, request: Request) -> Response:
    commit = _at(store, user, request)
    paths = parse_qs(request.body.decode()).get("paths", [])
    files = [_listed(path, commit.files[path], commit) for path in paths if path in commit.files]
    folders = [path for path in paths if path in _folders(commit.files)]
    return Response.of(files + [{"type": "directory", "path": path, "oid": "0" * 40} for path in folders])


@route("POST", f"{API}/preupload/{REVISION}")
def preupload(store: HubStore, user: User | None, request: Request) -> Response:
    repository = _open(store, user, request, write=True)
    files = repository.at(request.values["revision"]).files
    answers = []
    for file in request.json["files"]:
        known = files.get(file["path"])
        mode = repository.upload_mode(file["path"], file["size"])
        oid = {"oid": known.etag} if known else {}
        answers.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False} | oid)
    return Response.of({"files": answers})


@route("POST", f"{API}/commit/{REVISION}")
def commit(store: HubStore, user: User | None, request: Request) -> Response:
    repository = _open(store, user, request, write=True)
    lines = [json.loads(line) for line in request.body.splitlines() if line.strip()]
    made = repository.commit(request.values["revision"], lines)
    prefix = "" if repository.kind == "model" else f"{repository.kind}s/"
    url = f"{request.base}/{prefix}{repository.name}/commit/{made.oid}"
    return Response.of({"success": True, "commitOid": made.oid, "commitUrl": url, "hookOutput": ""})


@route("GET", f"{API}/commits/{REVISION}")
def commits(store: HubStore, user: User | None, request: Request) -> Response:
    authors = [{"user": "user"}]
    return Response.of(
        [
            {"id": made.oid, "title": made.title, "message": made.message, "authors": authors, "date": made.written}
            for made in _at(store, user, request).history()
        ]
    )


@route("GET", f"{API}/refs")
def refs(store: HubStore, user: User | None, request: Request) -> Response:
    repository = _open(store, user, request)

    def listed(kind: str, known: dict[str, Commit]) -> list[dict[str, str]]:
        return [{"name": name, "ref": f"refs/{kind}/{name}", "targetCommit": c.oid} for name, c in known.items()]

    found = {"branches": listed("heads", repository.branches), "tags": listed("tags", repository.tags)}
    return Response.of(found | {"converts": []})


@route("POST", f"{API}/(?P<ref>tag|branch)/{REVISION}")
def create_reference(store: HubStore, user: User | None, request: Request) -> Response:
    repository = _open(store, user, request, write=True)
    if request.values["ref"] == "tag":
        known, name, start = repository.tags, request.json["tag"], request.values["revision"]
    else:
        known, name = repository.branches, request.values["revision"]
        start = request.json.get("startingPoint", "main")
    if name in known:
        raise HubRefusal(409, f"Reference {name} exists already")
    known[name] = repository.at(start)
    return Response.of({})


@route("POST", f"{LIBRARY_FILE}.git/info/lfs/objects/batch")
def large_file_batch(store: HubStore, user: User | None, request: Request) -> Response:
    repository = _open(store, user, request, write=True)
    where = f"{repository.kind}/{repository.name}"
    objects = []
    for wanted in request.json["objects"]:
        oid, size = wanted["oid"], wanted["size"]
        if oid not in repository.objects:
            header = {"X-Amz-Algorithm": "AWS4"}
            href = f"{request.storage}/storage/{where}/{oid}"
            if request.part_bytes and size > request.part_bytes:
                parts = -(-size // request.part_bytes)
                header = {str(part): f"{href}/{part:05d}" for part in range(1, parts + 1)}
                header["chunk_size"] = str(request.part_bytes)
            verify = {"href": f"{request.base}/api/lfs-verify/{where}", "header": {}}
            wanted["actions"] = {"upload": {"href": href, "header": header}, "verify": verify}
        objects.append(wanted)
    return Response.of({"transfer": "basic", "objects": objects})


@route("PUT POST", "/storage/(?P<kind>model|dataset|space)/(?P<name>[^/]+/[^/]+)/(?P<oid>[^/]+)(?:/(?P<part>[0-9]+))?")
def store_large_file(store: HubStore, user: User | None, request: Request) -> Response:
    repository = store.repositories[request.kind, request.values["name"]]
    oid = request.values["oid"]
    if request.method == "PUT" and "part" in request.values:
        repository.objects[f"{oid}/{request.values['part']}"] = request.body
        return Response(headers={"ETag": f'"{request.values["part"]}"'})
    body = request.body
    if request.method == "POST":
        numbers = [part["partNumber"] for part in request.json["parts"]]
        body = b"".join(repository.objects.pop(f"{oid}/{number:05d}") for number in numbers)
    if Entry(body, True).sha256 != oid:
        raise HubRefusal(400, "The SHA-256 of what was uploaded is another one.")
    repository.objects[oid] = body
    return Response(headers={"ETag": f'"{oid}"'})


@route("POST", "/api/lfs-verify/(?P<kind>model|dataset|space)/(?P<name>[^/]+/[^/]+)")
def verify_large_file(store: HubStore, user: User | None, request: Request) -> Response:
    stored = _open(store, user, request, write=True).objects.get(request.json["oid"])
    if stored is None or len(stored) != request.json["size"]:
        raise HubRefusal(404, "The object was not uploaded, or its size differs.")
    return Response.of({})


@route("GET HEAD", f"{LIBRARY_FILE}/resolve/{REVISION}/(?P<path>.+)")
def resolve(store: HubStore, user: User | None, request: Request) -> Response:
    commit, path = _at(store, user, request), request.values["path"]
    headers = {"X-Repo-Commit": commit.oid}
    if path not in commit.files:
        # The client caches that a file does not exist in a commit, so it needs the commit's hash.
        error = {"X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found"}
        return Response(b"Entry not found", 404, headers | error)
    entry = commit.files[path]
    if not entry.large:
        return Response(entry.data, headers=headers | {"ETag": f'"{entry.etag}"', "Accept-Ranges": "bytes"})
    location = f"{request.storage}/cdn/{request.kind}/{request.values['name']}/{entry.sha256}"
    linked = {"X-Linked-Etag": f'"{entry.etag}"', "X-Linked-Size": str(len(entry.data)), "Location": location}
    return Response(b"", 302, headers | linked)


@route("GET HEAD", "/cdn/(?P<kind>model|dataset|space)/(?P<name>[^/]+/[^/]+)/(?P<oid>[0-9a-f]+)")
def large_file(store: HubStore, user: User | None, request: Request) -> Response:
    data = store.repositories[request.kind, request.values["name"]].objects[request.values["oid"]]
    return Response(data, headers={"ETag": f'"{request.values["oid"]}"', "Accept-Ranges": "bytes"})
