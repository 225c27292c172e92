"""The documents name only what there is: links, commands, pages, files."""

import re
from pathlib import Path

import pytest

from cvae_jax import __version__, config
from launch import main

ROOT = Path(__file__).parents[1]
DOCUMENTS = (
  *("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "data/README.md"),
  *(file.relative_to(ROOT).as_posix() for file in ROOT.glob("docs/*.md")),
  "cvae_jax/measures/reference/README.md",
)
FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(\s*([^)\s]+)[^)]*\)|^\[[^\]]+\]:\s*(\S+)", re.MULTILINE)
PAGE = re.compile(r"configs/(\w+)\.py(?::([\w=.,]*\w))?")
SHORT = re.compile(r"--config=(\w+)(?::([\w=.,]*\w))?(?![\w./=])")
MODULE = re.compile(r"python -m ((?:launch|benchmarks|cvae_jax)[\w.]*)")
COMMAND = re.compile(r"cvae-jax (\w+)")
LAUNCHED = re.compile(r"(?<![\w.])launch\.(\w+)")
FILE = re.compile(
  r"(?<![\w./-])((?:benchmarks|configs|cvae_jax|data|docs|launch|tests)"
  r"/[\w./]*\.(?:py|md|csv))"
)
TARGET = re.compile(r"(?:`|^ {4})make ([a-z][a-z-]*)", re.MULTILINE)


def read(document: str) -> str:
  return (ROOT / document).read_text(encoding="utf-8")


def anchors(text: str) -> set[str]:
  """Return the anchors that GitHub makes of a document's headings."""
  made = set()
  for heading in re.findall(r"^#+ +(.+)$", FENCE.sub("", text), re.MULTILINE):
    plain = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
    count = 1
    anchor = plain
    while anchor in made:
      anchor = f"{plain}-{count}"
      count += 1
    made.add(anchor)
  return made


def broken(document: str, text: str) -> list[str]:
  """List the relative links of a document that lead nowhere."""
  bad = []
  for link in (a or b for a, b in LINK.findall(FENCE.sub("", text))):
    if re.match(r"[a-z]+:", link):
      continue
    name, _, anchor = link.partition("#")
    target = (ROOT / document).parent / name
    if not target.exists() or not target.resolve().is_relative_to(ROOT):
      bad.append(link)
    elif anchor:
      there = target.read_text(encoding="utf-8") if name else text
      bad += [link] if anchor not in anchors(there) else []
  return bad


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_relative_link_and_anchor_leads_somewhere(document):
  assert broken(document, read(document)) == []


def test_a_link_that_leads_nowhere_is_found():
  text = "# A b, c\n[x](#a-b-c) [y](#a-b) ![z](none.png)\n[r]: docs/none.md"
  assert broken("README.md", text) == ["#a-b", "none.png", "docs/none.md"]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_page_and_variant_that_is_named_loads(document):
  text = read(document)
  found = set(PAGE.findall(text)) | set(SHORT.findall(text))
  for name, variants in sorted(found - {("DIR", "")}):
    page = ROOT / "configs" / f"{name}.py"
    first = re.sub(r"\.\.\d+", "", variants)  # model=1..5
    last = re.sub(r"\d+\.\.", "", variants)
    for variant in {first, last}:
      if variant != "help":
        config.load_page(f"{page}:{variant}")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_script_and_file_that_is_named_exists(document):
  text = read(document)
  modules = {name.rstrip(".") for name in MODULE.findall(text)}
  files = {f"{name.replace('.', '/')}.py" for name in modules}
  files |= {f"launch/{name}.py" for name in LAUNCHED.findall(text)}
  files |= set(FILE.findall(text))
  files = {re.sub("^cvae_jax/launch/", "launch/", name) for name in files}
  places = (ROOT, ROOT / "cvae_jax")  # ARCHITECTURE.md names from the latter
  found = {name for name in files for at in places if (at / name).exists()}
  assert sorted(files - found) == []
  assert set(COMMAND.findall(text)) <= main.commands().keys()


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_make_target_that_is_named_exists(document):
  targets = set(re.findall(r"^([a-z-]+):", read("Makefile"), re.MULTILINE))
  assert set(TARGET.findall(read(document))) <= targets


def test_the_citation_is_of_this_version_and_has_what_cff_asks_for():
  text = read("CITATION.cff")
  fields = dict(re.findall(r"^([a-z-]+): *(.*)$", text, re.MULTILINE))
  assert fields["version"] == __version__
  assert fields["cff-version"] == "1.2.0"
  assert {"message", "title", "authors", "license", "type"} <= fields.keys()


def test_the_changelog_begins_with_this_version():
  first = re.search(r"^## (\S+)", read("CHANGELOG.md"), re.MULTILINE)
  assert first[1] == __version__
