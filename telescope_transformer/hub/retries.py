"""Calls the Hub with a limited number of retries, one clear error per failure, and no token in any message."""

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import httpx2
from huggingface_hub import constants, get_token
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from telescope_transformer.errors import HubError

# The client itself retries file transfers, but not the creation of a repository or a commit. Four attempts, with
# pauses of 1, 2 and 4 seconds, outlast the restart of a web server.
ATTEMPTS = 4
# If a server asks for a longer pause (in seconds), the command reports the rate limit instead of waiting.
LONGEST_WAIT = 120.0
# Status codes of temporary errors: time-outs, rate limits, and errors of gateways and servers.
TRANSIENT_STATUSES = {408, 429, 500, 502, 503, 504}
UNREACHABLE = (httpx2.TransportError, ConnectionError, TimeoutError)

Result = TypeVar("Result")


def redact(text: str, token: str | None = None) -> str:
    """Replace the given token and the stored token by `<token>`, with and without surrounding white space."""
    known = {secret for given in (token, get_token()) if given for secret in (given, given.strip())}
    for secret in sorted(known, key=len, reverse=True):
        text = text.replace(secret, "<token>")
    return text


def check_token(token: str | None) -> None:
    """Refuse a token that cannot be sent in a request header, because the client's own error would print it.

    Raises:
        HubError: if the token has characters other than visible ASCII.
    """
    if token is not None and not (token.isascii() and token.isprintable() and " " not in token):
        raise HubError(
            "the Hub token contains characters that a token cannot have: check HF_TOKEN, or run `hf auth login` again"
        )


def with_retries(what: str, call: Callable[[], Result], *, token: str | None = None, wait: float = 1.0) -> Result:
    """Call the Hub, and try again after a rate limit, a server error or a lost connection.

    Args:
        what: the action, for the error message, such as "push to user/name".
        call: function to call; it must be safe to repeat.
        token: the token that the call uses, to keep it out of messages.
        wait: seconds before the second attempt, doubled for each further one. A `Retry-After` header overrides it.

    Raises:
        HubError: if the call fails; the message is one line that says what went wrong and what to do.
    """
    check_token(token or get_token())
    attempt = 1
    while True:
        try:
            return call()
        except HubError:
            raise
        # The client raises errors from several libraries that have no common base class, and some of them are nested.
        except Exception as error:
            pause = _pause(error, wait * 2 ** (attempt - 1))
            if attempt == ATTEMPTS or pause is None or pause > LONGEST_WAIT:
                # A traceback would show the cause, so it is dropped if it contains the token.
                leaks = any(redact(repr(cause), token) != repr(cause) for cause in _causes(error))
                raise HubError(redact(f"cannot {what}: {_explain(error)}", token)) from (None if leaks else error)
        time.sleep(pause)
        attempt += 1


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and the errors that caused it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _status_error(error: BaseException) -> HfHubHTTPError | None:
    return next((cause for cause in _causes(error) if isinstance(cause, HfHubHTTPError)), None)


def _pause(error: BaseException, default: float) -> float | None:
    """Seconds to wait before another attempt, or None if another attempt cannot help."""
    refusal = _status_error(error)
    if refusal is not None:
        if refusal.response.status_code not in TRANSIENT_STATUSES:
            return None
        asked = refusal.response.headers.get("Retry-After", "")
        return float(asked) if asked.isdigit() else default
    return default if any(isinstance(cause, UNREACHABLE) for cause in _causes(error)) else None


def _explain(error: BaseException) -> str:
    """Describe an error of the client in one line."""
    refusal = _status_error(error)
    # Status 400 means invalid content, which the client's own message describes best.
    if refusal is not None and refusal.response.status_code != 400:
        return _explain_refusal(refusal)
    for cause in _causes(error):
        if isinstance(cause, OfflineModeIsEnabled):
            return "HF_HUB_OFFLINE is set and the files are not in the cache"
        if isinstance(cause, UNREACHABLE):
            return f"the Hub at {constants.ENDPOINT} cannot be reached: {cause}"
        if isinstance(cause, HFValidationError):
            return f"not a repository name: {cause}"
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
    explanations = {
        401: "the token is missing or not valid (401): set HF_TOKEN, or run `hf auth login`",
        403: f"the token does not permit this (403): {detail}",
        412: "the repository has changed in the meantime (412): try again",
        429: "the rate limit is reached (429): try again later",
    }
    return explanations.get(status, f"the Hub answered {status}: {detail}")
