"""The loopback Hub's memory: repositories with commits, branches, tags and large files, and their users."""

import base64
import hashlib
import itertools
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

LARGE_SUFFIXES = (".safetensors", ".parquet", ".bin", ".npy", ".npz", ".zst", ".gz", ".arrow")
LARGE_BYTES = 10 * 1024 * 1024


class HubRefusal(Exception):
    """An answer other than success: status, the Hub's error code, and a message."""

    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


@dataclass(frozen=True)
class Entry:
    """A file of a commit; `data` is its content, and `large` says whether it is stored as a large file."""

    data: bytes
    large: bool

    @property
    def git_oid(self) -> str:
        content = self.pointer if self.large else self.data
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @property
    def pointer(self) -> bytes:
        head = "version https://git-lfs.github.com/spec/v1"
        return f"{head}\noid sha256:{self.sha256}\nsize {len(self.data)}\n".encode()

    @property
    def etag(self) -> str:
        return self.sha256 if self.large else self.git_oid


@dataclass(frozen=True)
class Commit:
    oid: str
    title: str
    message: str
    date: datetime
    parent: "Commit | None"
    files: dict[str, Entry]

    @property
    def written(self) -> str:
        return self.date.strftime("%Y-%m-%dT%H:%M:%S.000Z")

    def history(self) -> list["Commit"]:
        return [self, *(self.parent.history() if self.parent else [])]


@dataclass
class Repository:
    name: str
    kind: str
    private: bool
    branches: dict[str, Commit] = field(default_factory=dict)
    tags: dict[str, Commit] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    clock: Any = field(default_factory=lambda: itertools.count())

    def __post_init__(self) -> None:
        attributes = b"".join(b"*%s filter=lfs diff=lfs merge=lfs -text\n" % s.encode() for s in LARGE_SUFFIXES)
        self.branches["main"] = self._commit(None, "initial commit", "", {".gitattributes": Entry(attributes, False)})

    def _commit(self, parent: Commit | None, title: str, message: str, files: dict[str, Entry]) -> Commit:
        number = next(self.clock)
        date = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number)
        listing = "".join(f"{path} {entry.etag}\n" for path, entry in sorted(files.items()))
        seed = f"{self.kind}{self.name}{number}{parent.oid if parent else ''}{title}{listing}"
        return Commit(hashlib.sha1(seed.encode()).hexdigest(), title, message, date, parent, files)

    def at(self, revision: str) -> Commit:
        """The commit that a branch, a tag or a commit hash names."""
        known = self.branches.get(revision.removeprefix("refs/heads/")) or self.tags.get(revision)
        if known is not None:
            return known
        for commit in itertools.chain.from_iterable(head.history() for head in self.branches.values()):
            if commit.oid == revision:
                return commit
        raise HubRefusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")

    def upload_mode(self, path: str, size: int) -> str:
        return "lfs" if size > LARGE_BYTES or path.endswith(LARGE_SUFFIXES) else "regular"

    def commit(self, branch: str, lines: list[dict[str, Any]]) -> Commit:
        """Apply the operations of a commit request to a branch.

        Raises:
            HubRefusal: 412 if the branch has moved on from the stated parent, 400 if a large file was not uploaded
                before or an operation is unknown, 404 if a file to delete does not exist.
        """
        if branch not in self.branches:
            raise HubRefusal(404, f"Invalid rev id: {branch}", "RevisionNotFound")
        parent, header = self.branches[branch], lines[0]["value"]
        if header.get("parentCommit") not in (None, parent.oid):
            raise HubRefusal(412, "A commit has happened since. Please refresh and try again.")
        files = dict(parent.files)
        for line in lines[1:]:
            self._apply(files, line["key"], line["value"])
        self.branches[branch] = self._commit(parent, header["summary"], header.get("description", ""), files)
        return self.branches[branch]

    def _apply(self, files: dict[str, Entry], key: str, value: dict[str, Any]) -> None:
        path = value["path"]
        if key == "file":
            files[path] = Entry(base64.b64decode(value["content"]), False)
        elif key == "lfsFile":
            if value["oid"] not in self.objects:
                raise HubRefusal(400, f"Your push was rejected: LFS pointer {path} has no uploaded object.")
            files[path] = Entry(self.objects[value["oid"]], True)
        elif key == "deletedFile":
            if files.pop(path, None) is None:
                raise HubRefusal(404, "A file with this name doesn't exist", "EntryNotFound")
        elif key == "deletedFolder":
            for name in [name for name in files if name.startswith(path.rstrip("/") + "/")]:
                del files[name]
        else:
            raise HubRefusal(400, f"unknown operation {key!r}")


@dataclass(frozen=True)
class User:
    name: str
    may_write: bool = True


class HubStore:
    """All repositories, and the tokens that open them.

    Tokens map to users. Only the user of the same name may write to a namespace. A private repository is hidden from
    all others: 401 without a token, 404 with another user's token, both with the code `RepoNotFound`, as on the Hub.
    """

    def __init__(self, tokens: dict[str, User]) -> None:
        self.tokens = tokens
        self.repositories: dict[tuple[str, str], Repository] = {}

    def user(self, authorization: str | None) -> User | None:
        if authorization is None:
            return None
        user = self.tokens.get(authorization.removeprefix("Bearer "))
        if user is None:
            raise HubRefusal(401, "Invalid credentials in Authorization header")
        return user

    def create(self, user: User | None, kind: str, name: str, private: bool) -> Repository:
        self._require_write(user, name.split("/")[0])
        if (kind, name) in self.repositories:
            raise HubRefusal(409, "You already created this repo")
        repository = Repository(name, kind, private)
        self.repositories[kind, name] = repository
        return repository

    def open(self, user: User | None, kind: str, name: str, *, write: bool = False) -> Repository:
        repository = self.repositories.get((kind, name))
        if repository is None or (repository.private and (user is None or user.name != name.split("/")[0])):
            raise HubRefusal(404 if user else 401, "Repository not found", "RepoNotFound")
        if write:
            self._require_write(user, name.split("/")[0])
        return repository

    def _require_write(self, user: User | None, namespace: str) -> None:
        if user is None:
            raise HubRefusal(401, "Invalid username or password.")
        if not user.may_write or user.name != namespace:
            raise HubRefusal(403, f"You don't have the rights to write to the namespace {namespace}")
