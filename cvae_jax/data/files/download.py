"""Downloads with several mirrors, trusted by the hash of their content."""

import gzip
import hashlib
import os
import pathlib
import tempfile
import zlib
from collections.abc import Sequence

from cvae_jax.data import DataError

# SHA-256 of the uncompressed files: mirrors compress differently.
MNIST = {
  "train-images-idx3-ubyte.gz": (
    "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
  ),
  "train-labels-idx1-ubyte.gz": (
    "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
  ),
  "t10k-images-idx3-ubyte.gz": (
    "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
  ),
  "t10k-labels-idx1-ubyte.gz": (
    "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
  ),
}
MNIST_MIRRORS = (
  "https://ossci-datasets.s3.amazonaws.com/mnist/",
  "https://storage.googleapis.com/cvdf-datasets/mnist/",
)


def content(path: pathlib.Path) -> bytes:
  """Read a file, decompressed if it is gzip whatever its name says.

  Raises:
    DataError: if the gzip stream is cut or damaged.
  """
  raw = path.read_bytes()
  if not raw.startswith(b"\x1f\x8b"):
    return raw
  try:
    return gzip.decompress(raw)
  except (EOFError, OSError, zlib.error) as error:
    raise DataError(
      f"{path}: cut or damaged gzip file of {len(raw):,} bytes ({error})"
    ) from error


def verify(path: pathlib.Path, sha256: str) -> None:
  """Check the SHA-256 of a file's decompressed content.

  Raises:
    DataError: naming the file, the expected hash and the one found.
  """
  found = hashlib.sha256(content(path)).hexdigest()
  if found != sha256:
    raise DataError(
      f"{path}: wrong content; SHA-256 expected {sha256}, found {found}"
    )


def fetch(
  name: str, folder: pathlib.Path, mirrors: Sequence[str], sha256: str
) -> pathlib.Path:
  """Return the right file from `folder`, downloading it if it is not there.

  A copy already there, gzipped or plain, is used if right and is never
  touched if wrong. A download enters the folder only once verified, whole.

  Args:
    name: file name on the mirrors; may end in `.gz`.
    folder: where the file belongs; made if needed.
    mirrors: base addresses ending in `/`, tried in turn.
    sha256: hash of the decompressed content.

  Raises:
    DataError: if a copy is there but wrong, or if every mirror failed.
  """
  present = [
    path
    for path in (folder / name, folder / name.removesuffix(".gz"))
    if path.exists()
  ]
  for path in present:
    try:
      verify(path, sha256)
    except DataError as error:
      raise DataError(f"{error}. Move it away to download it anew.") from error
  if present:
    return present[0]
  folder.mkdir(parents=True, exist_ok=True)
  reasons = []
  for mirror in mirrors:
    try:
      return _download(mirror + name, folder / name, sha256)
    except (OSError, DataError) as error:  # requests' errors are OSErrors
      reasons.append(f"  {mirror + name}: {error}")
  raise DataError(
    f"could not download {name}; every mirror failed:\n"
    + "\n".join(reasons)
    + f"\nGet the file elsewhere and save it as {folder / name}"
    + f" (SHA-256 of its uncompressed content: {sha256})."
  )


def _download(url: str, target: pathlib.Path, sha256: str) -> pathlib.Path:
  import pooch  # Here, as most runs read data and never download.

  # `identity`: else a server may gunzip what we want to keep gzipped.
  get = pooch.HTTPDownloader(
    timeout=30, chunk_size=2**16, headers={"Accept-Encoding": "identity"}
  )
  # Beside the target, so that the rename stays on one disk and is atomic.
  with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
    part = pathlib.Path(scratch) / target.name
    get(url, str(part), None)
    verify(part, sha256)
    os.replace(part, target)
  return target
