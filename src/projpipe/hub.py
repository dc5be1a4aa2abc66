"""Folders of projectors and models on the Hugging Face hub, and what goes wrong there as one line each."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from projpipe.errors import InputError
from projpipe.manifest import KNOWN, MANIFEST, kind_of

HUB = "hf-hub:"  # before `owner/name` or `owner/name@revision`, as timm writes it
LOG_IN = "log in with `hf auth login`"


def fetch(place: str) -> Path:
    """The folder, in the hub's own cache, of what `hf-hub:owner/name` or `hf-hub:owner/name@revision` names.

    Its manifest is fetched first: of what is no projector and no model, nothing else is.

    Raises:
        InputError: the hub does not give it, or it is neither.
    """
    from huggingface_hub import hf_hub_download, snapshot_download

    repo, _, revision = place.removeprefix(HUB).partition("@")
    with hub_errors(place, revision or "main"):
        if (cached := _cached(repo, revision or None)) is not None:
            return cached
        folder = Path(hf_hub_download(repo, MANIFEST, revision=revision or None)).parent
        if (kind := kind_of(folder)) not in KNOWN:
            raise InputError(f"{place}: holds no projector and no model of projpipe; name another repository")
        return Path(snapshot_download(repo, revision=folder.name, allow_patterns=[MANIFEST, *KNOWN[kind]]))


def _cached(repo: str, revision: str | None) -> Path | None:
    """The folder that was fetched before, where the hub cannot be reached; None where it can.

    It is asked once, where downloads try six times, which takes half a minute.
    """
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import HfHubHTTPError, HTTPError  # type: ignore[attr-defined]

    try:
        HfApi().model_info(repo, revision=revision)
    except (HTTPError, OSError) as error:
        if isinstance(error, HfHubHTTPError) and error.response.status_code < 500:
            raise
        cached = try_to_load_from_cache(repo, MANIFEST, revision=revision)
        if not isinstance(cached, str):
            raise
        return Path(cached).parent
    return None


def check_name(repo: str) -> None:
    """Refuse what no repository of the hub can be called, without asking it.

    Raises:
        InputError: says how one is written.
    """
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

    if "/" not in repo:
        raise InputError(f"{repo}: is no repository of the hub; write it as owner/name")
    with hub_errors(repo, "main"):
        validate_repo_id(repo)


def upload(repo: str, files: Mapping[str, Path | bytes], private: bool, revision: str | None) -> str:
    """Put files, by name, into a repository of the hub, which is made if it is not there; the address of the commit.

    Args:
        private: of a repository that is made.
        revision: the branch, which is made if it is not there; None for the main one.

    Raises:
        InputError: the hub does not take it.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    api = HfApi()
    with hub_errors(repo, revision or "main"):
        api.create_repo(repo, private=private or None, exist_ok=True)
        if revision is not None:
            api.create_branch(repo, branch=revision, exist_ok=True)
        operations = [CommitOperationAdd(name, content) for name, content in files.items()]
        made = api.create_commit(repo, operations, commit_message="Upload with projpipe", revision=revision)
    return str(made.commit_url)


@contextmanager
def hub_errors(place: str, revision: str) -> Iterator[None]:
    """Say in one line what the hub, or the way to it, has against what the body does."""
    from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]  # of what carries the requests

    try:
        yield
    except InputError:
        raise
    except (HTTPError, OSError, RuntimeError, ValueError) as error:
        raise InputError(f"{place}: {_said(error, revision)}") from error


def _said(error: Exception, revision: str) -> str:
    """What an error of the hub means for who asked, and what to do about it."""
    from huggingface_hub import errors

    said = " ".join(str(error.__cause__ or error).split()) or type(error).__name__
    if isinstance(error, errors.HfHubHTTPError):
        answered = f"{error.response.status_code}: {error.server_message or error.response.reason_phrase}"
    else:
        answered = said
    unreached = f"the hub cannot be reached ({said}); check {_way()}, or give a folder"
    meanings = {
        errors.HFValidationError: f"is no name of a repository ({said}); write owner/name",
        errors.LocalTokenNotFoundError: f"the hub asks who you are; {LOG_IN}",
        errors.RevisionNotFoundError: f"the hub has no revision {revision!r} of it; name a branch, tag or commit",
        errors.RepositoryNotFoundError: f"the hub has no such repository, or does not show it to you; check its name, "
        f"or {LOG_IN}",
        errors.LocalEntryNotFoundError: unreached,
        errors.EntryNotFoundError: f"holds no projector and no model of projpipe (no {MANIFEST}); name another",
        errors.BadRequestError: f"the hub does not take it ({answered}); correct it",
        errors.HfHubHTTPError: f"the hub does not allow it ({answered}); ask its owner, or {LOG_IN}",
        ValueError: f"the hub does not take it ({said}); correct it",
        Exception: unreached,
    }
    if isinstance(error, errors.HfHubHTTPError) and error.response.status_code >= 500:
        return f"the hub answers {answered}; try again later"
    return next(meaning for kind, meaning in meanings.items() if isinstance(error, kind))


def _way() -> str:
    """What decides whether the hub is reached, and so is to be looked at first where it is not."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE, which is set"
    endpoint = os.environ.get("HF_ENDPOINT")
    return f"HF_ENDPOINT, which is {endpoint}" if endpoint else "the network"
