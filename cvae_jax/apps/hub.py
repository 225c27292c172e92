"""Put a run's export into a repository of the Hugging Face Hub."""

import fnmatch
import tempfile
from pathlib import Path
from typing import Any

from cvae_jax.apps.export import write
from cvae_jax.host import hub
from cvae_jax.host.arguments import RunError
from cvae_jax.host.wording import shorten
from cvae_jax.loop.folder import exports
from cvae_jax.runs import Run

# The files that an export may have.
_KINDS = (*hub.FILES, "*.onnx", "*.stablehlo")

_EXPORT = {"conditions.json", "config.json", "model.safetensors"}
# The files that a new repository may have.
_EMPTY = {".gitattributes", "README.md"}
# The choices of an export that is sent as it is.
_USUAL = {"formats": write.DEFAULT, "half": False, "encoder": True}
_USUAL |= {"licence": "", "note": ""}


def share(
  run: Run, repo: str, *, private: bool = False, **choices: Any
) -> list[str]:
  """Export a run and put its files into a repository, in one commit.

  The repository is made if there is none. Files of an earlier export that this
  one does not have are deleted; other files of the repository stay. A run that
  is already an export is sent as it is.

  Args:
    run: the run.
    repo: user/name.
    private: whether only you may see a new repository.
    choices: how it is exported, as in `export.write`: formats, half, encoder,
      licence and note.

  Returns:
    What was written, lines for people.

  Raises:
    RunError: the Hub refuses, `repo` holds other things or is public and was
      to be private, or a choice does not fit a run that is an export.
  """
  hub.check_repo(repo, repo)
  api = hub.package().HfApi()
  with tempfile.TemporaryDirectory() as made:
    if exports.is_export(run.folder):
      formats = tuple(choices.get("formats", write.DEFAULT))
      if _USUAL | choices | {"formats": formats} != _USUAL:
        raise RunError(
          f"{run.folder} is an export and goes as it is; share the run with "
          "these flags, or leave them out"
        )
      folder = run.folder
      lines = []
    else:
      folder = Path(made) / "export"
      lines = write.export(run, folder, **choices)[:-1]
    with hub.explain_errors(repo):
      url = _put(api, folder, repo, private)
  return [
    *lines,
    f"shared {url}",
    f'load it anywhere with runs.load("hf://{repo}")',
  ]


def _put(api, folder: Path, repo: str, private: bool) -> str:
  """Commit an export's files; return the repository's address."""
  package = hub.package()
  url = api.create_repo(repo, private=private or None, exist_ok=True)
  if private and not api.repo_info(repo).private:
    raise RunError(
      f"hf://{repo} is there and public; make it private on its page, or give "
      "a name that is free. Nothing was sent"
    )
  there = {*api.list_repo_files(repo)}
  if there - _EMPTY and not there >= _EXPORT:
    raise RunError(
      f"hf://{repo} holds other things ({shorten(sorted(there), 4)}); give "
      "a name that is free. Nothing was sent"
    )
  names = [path.name for path in folder.iterdir() if _is_run_file(path.name)]
  stale = [
    name for name in sorted(there) if _is_run_file(name) and name not in names
  ]
  operations = [
    package.CommitOperationAdd(path_in_repo=name, path_or_fileobj=folder / name)
    for name in sorted(names)
  ]
  operations += [package.CommitOperationDelete(path_in_repo=n) for n in stale]
  api.create_commit(repo, operations, commit_message="Share a run of cvae_jax")
  return str(url)


def _is_run_file(name: str) -> bool:
  return any(fnmatch.fnmatch(name, kind) for kind in _KINDS)
