"""Check what a wheel and a source archive hold: packed.py WHEEL SDIST."""

import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Folders of the checkout and where the wheel has them.
PLACES = {"configs": "configs", "launch": "launch", "data": "prepare"}


def main(wheel: str, sdist: str) -> None:
  """Stop with the files that are missing, or that do not belong there."""
  with zipfile.ZipFile(wheel) as archive:
    held = set(archive.namelist())
  with tarfile.open(sdist) as archive:
    source = {name.partition("/")[2] for name in archive.getnames()}
  code = [file for file in _files("cvae_jax") if "__pycache__" not in file]
  wanted = {file for file in code if file.endswith((".py", ".csv"))}
  for folder, place in PLACES.items():
    wanted |= {
      file.replace(folder, f"cvae_jax/{place}", 1)
      for file in _files(folder)
      if file.endswith(".py") and file.count("/") == 1
    }
  entries = [file for file in _files("docs/results") if file[-5:] == ".json"]
  wanted |= {f"cvae_jax/results/{Path(file).name}" for file in entries}
  missing = sorted(wanted - held)
  if not any(file.endswith("/LICENSE") for file in held):
    missing.append("LICENSE")
  foreign = sorted(
    file
    for file in held
    if not file.startswith(("cvae_jax/", "cvae_jax-"))
    or file.startswith("cvae_jax/tests/")
  )
  whole = {file for file in code if file.endswith((".py", ".csv"))}
  whole |= {"LICENSE", "README.md", "CHANGELOG.md", "CITATION.cff", "setup.py"}
  for folder in PLACES:
    whole |= {
      f for f in _files(folder) if f.count("/") == 1 and f[-3:] == ".py"
    }
  absent = sorted({*whole, *entries} - source)
  if missing or foreign or absent:
    sys.exit(
      f"error: the wheel lacks {missing} and has {foreign} of others; "
      f"the source archive lacks {absent}"
    )
  print(f"{len(held)} files in the wheel, {len(source)} in the source archive")


def _files(folder: str) -> list[str]:
  return [
    file.relative_to(ROOT).as_posix() for file in (ROOT / folder).rglob("*.*")
  ]


if __name__ == "__main__":
  main(*sys.argv[1:])
