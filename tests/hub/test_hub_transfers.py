"""Uploads and downloads over real HTTP: the content, the repeated requests, and the messages."""

import logging
import re
from pathlib import Path

import pytest
from hub_server import READ_TOKEN, STRANGER_TOKEN, WRITE_TOKEN, HubServer
from huggingface_hub import HfApi

from telescope_transformer.errors import HubError
from telescope_transformer.hub import download, push_folder, with_retries
from telescope_transformer.hub.retries import ATTEMPTS

WEIGHTS = bytes(range(256)) * 1200
INVALID_TOKEN = "hf_invalidinvalidinvalidinvalidinvalid"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "folder"
    made.mkdir()
    (made / "config.json").write_text('{"model_type": "telescope"}')
    (made / "model.safetensors").write_bytes(WEIGHTS)
    (made / "README.md").write_text("---\nlicense: mit\ntags: [darknet]\n---\n# A card\n")
    return made


def commits(hub: HubServer, name: str = "user/a") -> int:
    return len(hub.store.repositories["model", name].branches["main"].history()) - 1


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".gitattributes"}


def test_a_push_can_be_downloaded_unchanged(client: HubServer, folder: Path) -> None:
    url = push_folder(folder, "user/a")
    assert url.startswith(f"{client.endpoint}/user/a/commit/")
    assert content(download("user/a")) == content(folder)
    assert not any(entry.authorized for entry in client.requests if entry.storage), "storage never sees the token"


def test_a_second_push_sends_only_what_changed_and_removes_what_is_gone(client: HubServer, folder: Path) -> None:
    push_folder(folder, "user/a")
    push_folder(folder, "user/a")
    assert commits(client) == 1
    (folder / "model.safetensors").rename(folder / "other.safetensors")
    push_folder(folder, "user/a", replaces=["*.safetensors"])
    assert commits(client) == 2
    assert len(client.asked("PUT", "/storage/")) == 1
    assert {"model.safetensors", "other.safetensors"} & client.files("user/a").keys() == {"other.safetensors"}


def test_revisions_pin_branches_tags_and_commits(client: HubServer, folder: Path) -> None:
    first = push_folder(folder, "user/a").rsplit("/", 1)[-1]
    HfApi().create_tag("user/a", tag="v1")
    (folder / "config.json").write_text("{}")
    push_folder(folder, "user/a")
    (folder / "config.json").write_text("[]")
    push_folder(folder, "user/a", revision="trial")
    found = {
        at: (download("user/a", revision=at) / "config.json").read_text() for at in (first, "v1", "main", "trial")
    }
    assert found == {first: found["v1"], "v1": '{"model_type": "telescope"}', "main": "{}", "trial": "[]"}
    with pytest.raises(HubError, match="cannot download user/a: the repository has no such revision"):
        download("user/a", revision="v9")


def test_a_private_repository_is_seen_by_its_owner_only(
    client: HubServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push_folder(folder, "user/a", private=True)
    monkeypatch.delenv("HF_TOKEN")
    for token in (STRANGER_TOKEN, None):
        with pytest.raises(HubError, match="no such repository, or it is private and HF_TOKEN has no access"):
            download("user/a", token=token)
    assert content(download("user/a", token=WRITE_TOKEN)) == content(folder)


def test_a_private_push_to_a_public_repository_is_refused(client: HubServer, folder: Path) -> None:
    push_folder(folder, "user/a")
    (folder / "secret.json").write_text("{}")
    with pytest.raises(HubError, match="the repository is public, and --private was asked for"):
        push_folder(folder, "user/a", private=True)
    assert "secret.json" not in client.files("user/a")


@pytest.mark.parametrize(
    ("token", "told"),
    [
        (READ_TOKEN, "the token does not permit this (403)"),
        (STRANGER_TOKEN, "the token does not permit this (403)"),
        (INVALID_TOKEN, "the token is missing or not valid (401)"),
        (f"{INVALID_TOKEN}\n {INVALID_TOKEN}", "the Hub token contains characters that a token cannot have"),
        (f"{INVALID_TOKEN}\N{BULLET}", "the Hub token contains characters that a token cannot have"),
    ],
)
def test_a_token_that_does_not_work_is_explained_and_never_shown(
    client: HubServer, folder: Path, token: str, told: str, caplog: pytest.LogCaptureFixture, pauses: list[float]
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(HubError, match=re.escape(told)) as caught:
        push_folder(folder, "user/a", token=token)
    assert token.split()[0] not in str(caught.value) + caplog.text
    assert pauses == [], "asking again does not help"


def test_a_token_of_the_environment_is_checked_too(client: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", f"{INVALID_TOKEN}\N{BULLET}")
    with pytest.raises(HubError, match="the Hub token contains characters that a token cannot have"):
        download("user/a")
    assert client.requests == []


def test_a_message_of_the_hub_that_spells_the_token_is_redacted(client: HubServer, folder: Path) -> None:
    client.fail("POST", "/api/repos/create", status=418, message=f"no coffee for {INVALID_TOKEN}")
    with pytest.raises(HubError, match="no coffee for <token>") as caught:
        push_folder(folder, "user/a", token=INVALID_TOKEN)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/repos/create"),
        ("POST", "/preupload/"),
        ("POST", "objects/batch"),
        ("PUT", "/storage/"),
        ("POST", "/commit/"),
        ("GET", "/api/models/user/a/revision"),
        ("GET", "/cdn/"),
    ],
)
def test_a_rate_limit_is_waited_for(
    client: HubServer, folder: Path, pauses: list[float], method: str, path: str
) -> None:
    client.fail(method, path, status=429, headers={"Retry-After": "7"}, times=2)
    push_folder(folder, "user/a")
    assert content(download("user/a")) == content(folder)
    # The client adds a second to the pause that the server asks for.
    assert [pause for pause in pauses if pause in (7.0, 8.0)] == pauses
    assert len(pauses) == 2
    assert commits(client) == 1


def test_a_rate_limit_of_an_hour_ends_at_once(client: HubServer, folder: Path, pauses: list[float]) -> None:
    client.fail("POST", "/api/repos/create", status=429, headers={"Retry-After": "3600"})
    with pytest.raises(HubError, match="cannot push to user/a: the rate limit is reached \\(429\\)"):
        push_folder(folder, "user/a")
    assert pauses == []


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_server_error_is_retried_a_bounded_number_of_times(client: HubServer, folder: Path, status: int) -> None:
    client.fail("POST", "/commit/", status=status, times=ATTEMPTS - 1)
    push_folder(folder, "user/a")
    client.fail("POST", "/api/repos/create", status=status, times=100)
    with pytest.raises(HubError, match=f"cannot push to user/b: the Hub answered {status}: injected"):
        push_folder(folder, "user/b")
    assert len([entry for entry in client.asked("POST", "/api/repos/create") if entry.status == status]) == ATTEMPTS


def test_a_commit_with_a_lost_answer_is_not_made_twice(client: HubServer, folder: Path) -> None:
    client.fail("POST", "/commit/", answer_lost=True)
    push_folder(folder, "user/a")
    assert commits(client) == 1


def test_an_interrupted_upload_sends_only_the_missing_files(client: HubServer, folder: Path) -> None:
    (folder / "second.safetensors").write_bytes(WEIGHTS[::-1])
    # The storage refuses the second file, and a retry cannot help.
    client.fail("PUT", "/storage/", cut_after=1000)
    client.fail("PUT", "/storage/", status=403, times=1)
    with pytest.raises(HubError, match="cannot push to user/a"):
        push_folder(folder, "user/a")
    stored = set(client.store.repositories["model", "user/a"].objects)
    assert commits(client) == 0
    push_folder(folder, "user/a")
    sent = [entry.path.rsplit("/", 1)[-1] for entry in client.asked("PUT", "/storage/") if entry.status == 200]
    assert len(stored) == 1
    assert len(sent) == len(set(sent)) == 2
    assert client.files("user/a")["second.safetensors"] == WEIGHTS[::-1]


def test_a_large_file_is_sent_in_parts_and_only_a_broken_part_is_repeated(client: HubServer, folder: Path) -> None:
    client.part_bytes = 100_000
    client.fail("PUT", "/00002$", cut_after=50_000)
    push_folder(folder, "user/a")
    assert client.files("user/a")["model.safetensors"] == WEIGHTS
    parts = [entry.path[-5:] for entry in client.asked("PUT", "/storage/")]
    assert sorted(parts) == ["00001", "00002", "00002", "00003", "00004"]


def test_a_broken_download_continues_where_it_broke(client: HubServer, folder: Path) -> None:
    push_folder(folder, "user/a")
    client.fail("GET", "/cdn/", cut_after=100_000)
    assert (download("user/a") / "model.safetensors").read_bytes() == WEIGHTS
    assert [entry.range for entry in client.asked("GET", "/cdn/")] == [None, "bytes=100000-"]


def test_a_reset_connection_is_opened_again(client: HubServer, folder: Path) -> None:
    push_folder(folder, "user/a")
    client.fail("GET", "/cdn/", cut_after=100_000, reset=True)
    assert (download("user/a") / "model.safetensors").read_bytes() == WEIGHTS
    assert len(client.asked("GET", "/resolve/.*/config.json")) == 1


def test_a_failed_download_fetches_only_the_missing_files(client: HubServer, folder: Path) -> None:
    push_folder(folder, "user/a")
    client.fail("GET", "/cdn/", status=403)
    with pytest.raises(HubError, match="cannot download user/a"):
        download("user/a")
    download("user/a")
    assert len(client.asked("GET", "/resolve/.*/config.json")) == 1
    assert len(client.asked("GET", "/cdn/")) == 2


def test_a_commit_on_a_stale_parent_is_refused(client: HubServer, folder: Path) -> None:
    first = push_folder(folder, "user/a").rsplit("/", 1)[-1]
    (folder / "config.json").write_text("{}")
    push_folder(folder, "user/a")
    (folder / "config.json").write_text("[]")
    late = HfApi()
    with pytest.raises(HubError, match="cannot commit: the repository has changed in the meantime \\(412\\)"):
        with_retries("commit", lambda: late.upload_folder(repo_id="user/a", folder_path=folder, parent_commit=first))


def test_a_card_that_is_not_valid_is_refused_before_anything_is_sent(client: HubServer, folder: Path) -> None:
    (folder / "README.md").write_text("---\nlicense: mine alone\n---\n")
    with pytest.raises(HubError, match=r'Invalid metadata in README\.md\. - "license" must be one of'):
        push_folder(folder, "user/a")
    assert not client.asked("PUT", "/storage/")


def test_an_unreachable_hub_is_named(tmp_path: Path, client: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(HubError, match=r"cannot download user/a: the Hub at http://127\.0\.0\.1:9 cannot be reached"):
        download("user/a")
    with pytest.raises(HubError, match="not a repository name"):
        download("user/a/b/c")
