"""Uploads to and downloads from the Hub: bounded retries, one clear error each, and never a token in a message."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx2
from huggingface_hub import HfApi, constants, get_token
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from telescope_transformer.errors import CheckpointError, HubError

# A repository is created and a commit made without retries by the client; both may be repeated: a repository that
# exists is taken, and files that a lost commit brought are found unchanged.
ATTEMPTS = 4
LONGEST_WAIT = 120.0
PASSING = {408, 429, 500, 502, 503, 504}
UNREACHABLE = (httpx2.TransportError, ConnectionError, TimeoutError)

Result = TypeVar("Result")
Model = TypeVar("Model")


def redact(text: str, token: str | None = None) -> str:
    """The text without the token, whole or without its white space, wherever it stands."""
    known = {secret for given in (token, get_token()) if given for secret in (given, given.strip())}
    for secret in sorted(known, key=len, reverse=True):
        text = text.replace(secret, "<token>")
    return text


def check_token(token: str | None) -> None:
    """Refuse a token that no request can carry; the client's own error would spell it.

    Raises:
        HubError: where it has characters other than visible ASCII.
    """
    if token is not None and not (token.isascii() and token.isprintable() and " " not in token):
        raise HubError("the Hub token has characters that no token has: check HF_TOKEN, or run `hf auth login` again")


def ask(what: str, call: Callable[[], Result], *, token: str | None = None, wait: float = 1.0) -> Result:
    """Call the Hub; a rate limit, a server's error or a lost connection is tried again, others are explained.

    Args:
        what: what is done, for the message, as in "push to user/name".
        call: safe to repeat.
        token: what the call was given, to keep it out of messages.
        wait: seconds before the second attempt, doubled for each further one; `Retry-After` goes before it.

    Raises:
        HubError: with what went wrong and what to do, in one line.
    """
    check_token(token or get_token())
    attempt = 1
    while True:
        try:
            return call()
        except HubError:
            raise
        # The client raises errors of several libraries without a common base, some around the one that tells.
        except Exception as error:
            pause = _pause(error, wait * 2 ** (attempt - 1))
            if attempt == ATTEMPTS or pause is None or pause > LONGEST_WAIT:
                # A traceback would show what the client raised; where that spells the token, it is left out.
                spelt = any(redact(repr(cause), token) != repr(cause) for cause in _causes(error))
                raise HubError(redact(f"cannot {what}: {_explain(error)}", token)) from (None if spelt else error)
        time.sleep(pause)
        attempt += 1


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _status_error(error: BaseException) -> HfHubHTTPError | None:
    return next((cause for cause in _causes(error) if isinstance(cause, HfHubHTTPError)), None)


def _pause(error: BaseException, default: float) -> float | None:
    """Seconds to wait before another attempt, or None where none can help."""
    refusal = _status_error(error)
    if refusal is not None:
        if refusal.response.status_code not in PASSING:
            return None
        asked = refusal.response.headers.get("Retry-After", "")
        return float(asked) if asked.isdigit() else default
    return default if any(isinstance(cause, UNREACHABLE) for cause in _causes(error)) else None


def _explain(error: BaseException) -> str:
    """One line about what the client raised."""
    refusal = _status_error(error)
    # What the Hub finds wrong with the content, the client tells best.
    if refusal is not None and refusal.response.status_code != 400:
        return _explain_refusal(refusal)
    for cause in _causes(error):
        if isinstance(cause, OfflineModeIsEnabled):
            return "HF_HUB_OFFLINE is set and the files are not in the cache"
        if isinstance(cause, UNREACHABLE):
            return f"the Hub at {constants.ENDPOINT} cannot be reached: {cause}"
        if isinstance(cause, HFValidationError):
            return f"not a name of a repository: {cause}"
    return " ".join(str(error).split()) or type(error).__name__


def _explain_refusal(refusal: HfHubHTTPError) -> str:
    status = refusal.response.status_code
    detail = " ".join((refusal.server_message or "").split())
    if isinstance(refusal, GatedRepoError):
        return f"access to the repository must be granted first ({status}): {detail}"
    if isinstance(refusal, RepositoryNotFoundError):
        return f"no such repository, or it is private and HF_TOKEN has no access to it ({status})"
    if isinstance(refusal, RevisionNotFoundError):
        return f"the repository has no such revision ({status})"
    if isinstance(refusal, RemoteEntryNotFoundError):
        return f"the repository has no file {refusal.response.url.path.rsplit('/', 1)[-1]} ({status})"
    told = {
        401: "the token is missing or not valid (401): set HF_TOKEN, or run `hf auth login`",
        403: f"the token has no right to do this (403): {detail}",
        412: "the repository has changed meanwhile (412): try again",
        429: "the rate limit is reached (429): try again later",
    }
    return told.get(status, f"the Hub answered {status}: {detail}")


def push_folder(
    folder: Path,
    name: str,
    *,
    kind: str = "model",
    private: bool = False,
    revision: str | None = None,
    replaces: list[str] | None = None,
    token: str | None = None,
) -> str:
    """Upload a folder as one commit; what a broken-off upload has brought is not sent again.

    Args:
        name: repository, "user/name"; created where it does not exist.
        kind: "model", "dataset" or "space".
        private: whether a new repository is private.
        revision: branch, created from main where it does not exist; None is main.
        replaces: patterns of files that are deleted where the folder has them no more.

    Returns:
        The URL of the commit.

    Raises:
        HubError: where the Hub refuses or cannot be reached, or the repository is public and `private` is asked for.
    """
    api = HfApi(token=token, library_name="telescope-transformer")
    what = f"push to {name}"
    ask(what, lambda: _create(api, name, kind, private, revision), token=token)

    def upload() -> str:
        commit = api.upload_folder(
            repo_id=name,
            repo_type=kind,
            folder_path=folder,
            revision=revision,
            delete_patterns=replaces,
            commit_message=f"Upload {kind} with telescope-transformer",
        )
        return str(commit.commit_url)

    return ask(what, upload, token=token)


def _create(api: HfApi, name: str, kind: str, private: bool, revision: str | None) -> None:
    """The repository and the branch, where they do not exist."""
    sdk = "gradio" if kind == "space" else None
    # Unless it is asked for, a new repository's visibility is what its owner chose as default.
    api.create_repo(name, repo_type=kind, private=private or None, exist_ok=True, space_sdk=sdk)
    if private and not api.repo_info(name, repo_type=kind).private:
        raise HubError(f"cannot push to {name}: the repository is public, and --private was asked for")
    if revision is not None:
        api.create_branch(name, repo_type=kind, branch=revision, exist_ok=True)


def download(
    name: str,
    *,
    kind: str = "model",
    revision: str | None = None,
    patterns: list[str] | None = None,
    token: str | None = None,
) -> Path:
    """A local copy of a repository; a directory that exists is returned as it is.

    A connection that breaks within a file goes on where it broke; files that are complete are not fetched again.

    Args:
        name: directory, or repository "user/name".
        patterns: which files, as in `["*.json"]`; None is all.

    Raises:
        HubError: where the repository, the revision or the Hub is not there, or access is refused.
    """
    if Path(name).is_dir():
        return Path(name)
    api = HfApi(token=token, library_name="telescope-transformer")

    def fetch() -> Path:
        return Path(api.snapshot_download(name, repo_type=kind, revision=revision, allow_patterns=patterns))

    return ask(f"download {name}", fetch, token=token)


def load_pretrained(
    model_class: type[Model],
    name: str | Path,
    *,
    revision: str | None = None,
    token: str | None = None,
    **options: Any,
) -> Model:
    """`model_class.from_pretrained` of a directory or a repository, with one clear error for all that can be wrong.

    Args:
        model_class: a model, configuration or tokenizer class of `telescope_transformer`, or an Auto class.
        revision: branch, tag or commit.
        options: passed on.

    Raises:
        HubError: where the repository cannot be downloaded.
        CheckpointError: where a file is missing or damaged, or of another architecture or a newer version.
    """
    folder = download(str(name), revision=revision, token=token)
    try:
        return model_class.from_pretrained(folder, **options)  # type: ignore[attr-defined]
    # What the libraries raise for a damaged file has no common base, down to the parser's own errors.
    except Exception as error:
        where = str(name) if revision is None else f"{name}@{revision}"
        reason = " ".join(str(error).replace(f"{folder}: ", "").split()) or type(error).__name__
        raise CheckpointError(f"cannot load {where}: {reason}") from error
