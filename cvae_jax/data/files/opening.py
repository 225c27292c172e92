"""Opens what --images names, whatever it is."""

from typing import Any

from cvae_jax.data import DataError, finding
from cvae_jax.data.files import pictures, tables
from cvae_jax.data.files.pictures import Pictures


def open_pictures(options: Any) -> Pictures:
  """Open the images and attributes that a preparation's options name.

  Raises:
    DataError: if there are none, or they cannot be read.
  """
  path = options.images
  if not path.exists():
    raise DataError(f"--images={path}: no such file or folder")
  images = finding.open_images(path, tables.ENDINGS, tar=True)
  if not images.where:
    raise DataError(
      f"{path}: no image in it; looked for {', '.join(finding.ENDINGS)}"
    )
  name, table = pictures.find_table(images, path, options.table)
  if table is None:
    names = [n.strip() for n in options.folders.split(",") if n.strip()]
    return pictures.by_folder(images, names)
  if not options.table:
    print(f"attributes are those of {name}")
  return pictures.by_table(
    images, table, name, options.file_column, options.on_missing
  )
