"""List config pages with their variants, systems and data sources.

python -m launch.list            # a line each
python -m launch.list digits     # a page's variants, keys and comments
"""

from . import command


def main(words: list[str]) -> None:
  """Print the list, or the help of the pages that are named."""
  from cvae_jax import pages
  from cvae_jax.apps import page_help

  for word in words:
    print("\n".join(page_help.lines(word)))
  if words:
    return
  from cvae_jax import config, data

  print("Pages, as in --config=NAME:VARIANT; NAME:help explains the keys")
  for name in pages.list_packaged():
    known = page_help.variants(name)
    print(
      f"  {name:11} {', '.join(map(page_help.format_variant, known.items()))}"
    )
  print(f"Systems\n  {', '.join(config.systems())}")
  print(f"Data sources\n  {', '.join(data.sources())}")


if __name__ == "__main__":
  command.run(main, [], words=True)
