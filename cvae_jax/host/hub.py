"""Runs on the Hugging Face Hub, by name: hf://user/name or …@revision.

Only an export's own files are fetched, and none of them is code or a pickle.
"""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from cvae_jax.host.arguments import RunError

FILES = (
  "README.md",
  "conditions.json",
  "config.json",
  "data.json",
  "measures.json",
  "metrics.jsonl",
  "model.safetensors",
  "picture.png",
  "prior.npz",
  "prior_*.npz",
  "scores.json",  # of older exports
)
_NEEDED = ("config.json", "model.safetensors")
# The second slash is lost in a Path.
_NAME = re.compile(r"hf:/+(?P<repo>[^@\s]+?)(@(?P<revision>[^@\s]+))?$")
_REPO = re.compile(r"[\w.-]+/[\w.-]+")
_SNAPSHOT = re.compile(r"models--(?P<user>.+?)--(?P<name>.+)")
READ_ONLY = (
  "a run of the Hub is read only; fetch it with: hf download user/name "
  "--local-dir=FOLDER, and give --workdir=FOLDER"
)


def is_name(folder: str | os.PathLike) -> bool:
  """Tell whether a folder is given by its name on the Hub."""
  text = os.fspath(folder)
  return isinstance(text, str) and text.startswith("hf:/")


def repository(folder: str | os.PathLike) -> tuple[str, str | None]:
  """Return the repository, user/name, and the revision that a name says.

  Raises:
    RunError: it names no repository.
  """
  text = os.fspath(folder)
  match = _NAME.match(text)
  repo = check_repo(match["repo"].strip("/") if match else text, text)
  return repo, match["revision"]


def origin(folder: Path) -> str | None:
  """Return hf://user/name of a folder in the Hub's cache, None of another."""
  *_, repo, snapshots, _revision = ("", "", "", *Path(folder).parts)
  match = _SNAPSHOT.fullmatch(repo)
  if snapshots != "snapshots" or not match:
    return None
  return f"hf://{match['user']}/{match['name']}"


def display_name(folder: Path) -> str:
  """Return a run's folder for people: its name, where it is of the Hub."""
  return origin(folder) or str(folder)


def check_writable(folder: Path) -> None:
  """Check that a run's folder is one that figures may be written into.

  Raises:
    RunError: it is in the Hub's cache.
  """
  if name := origin(folder):
    raise RunError(f"nothing is written into {name}: {READ_ONLY}")


def fetch(folder: str | os.PathLike) -> str | os.PathLike:
  """Return a folder as it is given, or where one of the Hub was put.

  What was fetched before is in the Hub's cache and serves without a network.

  Args:
    folder: of this machine, or hf://user/name or hf://user/name@revision.

  Raises:
    RunError: there is no such repository or revision, it may not be read, it
      is no export, or the package huggingface_hub is missing.
  """
  if not is_name(folder):
    return folder
  repo, revision = repository(folder)
  hub = package()
  with explain_errors(repo):
    found = hub.snapshot_download(
      repo, revision=revision, allow_patterns=[*FILES]
    )
  missing = [name for name in _NEEDED if not (Path(found) / name).is_file()]
  if missing:
    raise RunError(
      f"hf://{repo} is no export of this program: it has no "
      f"{' and no '.join(missing)}; give a repository of launch.share"
    )
  return found


def check_repo(repo: str, given: str) -> str:
  """Return a repository's name after a check of its form.

  Raises:
    RunError: it is not user/name.
  """
  if not _REPO.fullmatch(repo):
    raise RunError(
      f"{given!r} names no repository; expected user/name, or "
      "hf://user/name@revision to load one"
    )
  return repo


def package():
  """Return the module huggingface_hub.

  Raises:
    RunError: it is not installed.
  """
  try:
    import huggingface_hub
  except ModuleNotFoundError:
    raise RunError(
      "the Hub needs the package huggingface_hub: pip install 'cvae_jax[hub]'"
    ) from None
  return huggingface_hub


@contextlib.contextmanager
def explain_errors(repo: str) -> Iterator[None]:
  """Say the Hub's errors in one line.

  Raises:
    RunError: what was found, and what to do.
  """
  from huggingface_hub import errors

  try:
    yield
  except errors.RevisionNotFoundError:
    raise RunError(
      f"hf://{repo} has no such revision; give a branch, a tag or a commit "
      "after the @"
    ) from None
  except errors.GatedRepoError:
    raise RunError(
      f"hf://{repo} is given to those who ask for it: open its page on the "
      "Hub, ask there, and log in with: hf auth login"
    ) from None
  except errors.HfHubHTTPError as error:
    raise RunError(f"hf://{repo}: {_describe_status(error)}") from None
  except errors.LocalEntryNotFoundError:
    raise RunError(
      f"hf://{repo} is not in the cache, and the Hub cannot be reached; "
      "connect, unset HF_HUB_OFFLINE, or give a folder"
    ) from None
  except errors.LocalTokenNotFoundError:
    raise RunError(f"hf://{repo}: {_LOGIN}") from None
  except errors.HFValidationError as error:
    raise RunError(f"hf://{repo}: {_message(error)}") from None
  except errors.OfflineModeIsEnabled:
    raise RunError("the Hub is switched off; unset HF_HUB_OFFLINE") from None
  except Exception as error:
    # An error of an upload is the cause of another one.
    cause = error.__cause__ or error
    if isinstance(cause, errors.HfHubHTTPError):
      raise RunError(f"hf://{repo}: {_describe_status(cause)}") from None
    # The Hub's package has changed its HTTP library before.
    if type(cause).__module__.partition(".")[0] not in _HTTP:
      raise
    raise RunError(
      f"hf://{repo}: the Hub cannot be reached ({type(cause).__name__}); "
      "check the network, and run the same command again"
    ) from None


_HTTP = ("httpx", "httpx2", "httpcore", "httpcore2", "requests", "urllib3")
_LOGIN = "the Hub wants a token; log in with: hf auth login, or set HF_TOKEN"


def _describe_status(error) -> str:
  """Say what an answer of the Hub means."""
  from huggingface_hub import errors

  status = getattr(error.response, "status_code", 0)
  sent = package().get_token() is not None
  if isinstance(error, errors.RepositoryNotFoundError):
    return (
      "there is no such repository, or it is private and "
      + ("your token may not read it" if sent else "no token was sent")
      + "; check the name, or log in with: hf auth login"
    )
  if status == 401:
    known = "the Hub does not know this token; log in again with: hf auth login"
    return known if sent else _LOGIN
  if status == 403:
    return (
      "your token has no right to do this; make one that may write, and log in "
      "with: hf auth login"
    )
  return f"the Hub answers {status}: {_message(error)}"


def _message(error: Exception) -> str:
  """Return the Hub's message of an error, or its text, in one line."""
  said = getattr(error, "server_message", None) or str(error)
  return " ".join(said.split())[:200]
