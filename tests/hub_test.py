"""Runs on the Hub: what is shared is what is loaded, and errors are said."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from cvae_jax import runs, train
from cvae_jax.apps import hub as sharing
from cvae_jax.apps.export import write
from cvae_jax.host import hub as names
from cvae_jax.host.arguments import RunError
from cvae_jax.host.paths import PathError, local
from cvae_jax.measures import kept
from tests import small
from tests.hub_server import Hub, commit_id

constants = pytest.importorskip("huggingface_hub.constants")
# The Hub's package calls its HTTP library in an old way.
pytestmark = [
  pytest.mark.filterwarnings("ignore:Use 'content="),
  pytest.mark.usefixtures("shared_programs"),
]
NO_NAMES = ("hf://digits", "hf://", "hf://a/b/c", "hf:/x")


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
  folder = tmp_path_factory.mktemp("hub") / "run"
  train.train_and_evaluate(small.config(data, epochs=1), folder)
  return runs.load(folder)


@pytest.fixture
def server():
  found = Hub()
  yield found
  found.close()


@pytest.fixture
def hub(server, tmp_path, monkeypatch):
  """The server, its user ann, and an empty cache."""
  monkeypatch.setattr(constants, "ENDPOINT", server.url)
  template = constants.HUGGINGFACE_CO_URL_TEMPLATE
  template = template.replace("https://huggingface.co", server.url)
  monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
  monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
  monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
  monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
  monkeypatch.setenv("HF_TOKEN", "hf_ann")
  return server


def share(run, repo="ann/digits", **choices):
  return sharing.share(run, repo, **{"formats": ["safetensors"]} | choices)


def assert_same(one, other):
  condition = one.conditions.panel()
  np.testing.assert_array_equal(one.sample(condition), other.sample(condition))


def test_what_is_shared_is_loaded_by_its_name(run, hub):
  lines = share(run, note="Made by a test.")
  assert lines[-2:] == [
    f"shared {hub.url}/ann/digits",
    'load it anywhere with runs.load("hf://ann/digits")',
  ]
  assert "Made by a test." in hub.files("ann/digits")["README.md"].decode()
  assert_same(runs.load("hf://ann/digits"), run)


def test_an_export_is_shared_as_it_is_and_nothing_else_of_its_folder(
  run, hub, tmp_path
):
  folder = tmp_path / "export"
  write.export(run, folder, ["safetensors"], half=True, licence="mit")
  written = {path.name: path.read_bytes() for path in folder.iterdir()}
  (folder / "passwords.txt").write_text("secret")
  (folder / "weights.pkl").write_bytes(b"")
  (folder / "more").mkdir()
  export = runs.load(folder)
  sharing.share(export, "ann/digits")
  assert hub.files("ann/digits") == written
  with pytest.raises(RunError, match="is an export and goes as it is"):
    sharing.share(export, "ann/digits", licence="gpl")


def test_only_the_files_of_an_export_are_fetched(run, hub):
  share(run)
  hub.files("ann/digits").update({"a.pkl": b"x", "b.py": b"x", "c.bin": b"x"})
  hub.asked.clear()
  runs.load("hf://ann/digits")
  fetched = {p.rpartition("/")[2] for m, p in hub.asked if "/resolve/" in p}
  assert fetched <= {*names.FILES}
  assert "model.safetensors" in fetched


def test_sharing_again_is_one_commit_that_takes_old_files_away(run, hub):
  share(run)
  hub.files("ann/digits").update({"encode.onnx": b"old", "mine.txt": b"kept"})
  share(run)
  assert len(hub.repos["ann/digits"]["commits"]) == 3  # one of them empty
  assert "encode.onnx" not in hub.files("ann/digits")
  assert hub.files("ann/digits")["mine.txt"] == b"kept"


def test_a_revision_is_the_run_as_it_was(run, hub, tmp_path):
  share(run)
  write.export(run, tmp_path / "half", ["safetensors"], half=True)
  sharing.share(runs.load(tmp_path / "half"), "ann/digits")
  assert_same(runs.load(f"hf://ann/digits@{commit_id(1)}"), run)
  newest = runs.load("hf://ann/digits")
  assert_same(newest, runs.load(tmp_path / "half"))
  with pytest.raises(RunError, match="has no such revision; give a branch"):
    runs.load("hf://ann/digits@nowhere")


def test_a_run_that_was_fetched_is_there_without_a_network(
  run, hub, monkeypatch
):
  share(run)
  runs.load("hf://ann/digits")
  monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
  hub.asked.clear()
  assert_same(runs.load("hf://ann/digits"), run)
  assert hub.asked == []
  with pytest.raises(RunError, match="is not in the cache, and the Hub"):
    runs.load("hf://ann/others")
  with pytest.raises(RunError, match="switched off; unset HF_HUB_OFFLINE"):
    share(run)


def test_a_hub_that_does_not_answer_is_one_line(run, hub, monkeypatch):
  share(run)
  runs.load("hf://ann/digits")
  monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
  assert_same(runs.load("hf://ann/digits"), run)
  with pytest.raises(RunError, match="is not in the cache, and the Hub"):
    runs.load("hf://ann/others")
  with pytest.raises(RunError, match="the Hub cannot be reached"):
    share(run)


def test_a_private_run_is_its_owners(run, hub, monkeypatch):
  share(run, private=True)
  assert hub.repos["ann/digits"]["private"]
  runs.load("hf://ann/digits")
  shutil.rmtree(constants.HF_HUB_CACHE)
  monkeypatch.setenv("HF_TOKEN", "hf_bob")
  with pytest.raises(RunError, match="private and your token may not read it"):
    runs.load("hf://ann/digits")
  monkeypatch.delenv("HF_TOKEN")
  with pytest.raises(RunError, match="or it is private and no token was sent"):
    runs.load("hf://ann/digits")


def test_a_public_repository_gets_nothing_that_was_to_be_private(run, hub):
  share(run)
  commits = len(hub.repos["ann/digits"]["commits"])
  with pytest.raises(RunError, match=r"there and public.* Nothing was sent"):
    share(run, private=True)
  assert len(hub.repos["ann/digits"]["commits"]) == commits


def test_a_repository_of_other_things_is_left_alone(run, hub):
  files = {"README.md": b"a card", "model.onnx": b"another"}
  hub.repos["ann/other"] = {"private": False, "commits": [files]}
  with pytest.raises(RunError, match=r"other things \(README\.md, model\.onnx"):
    share(run, "ann/other")
  assert hub.repos["ann/other"]["commits"] == [files]


@pytest.mark.parametrize(
  ("token", "repo", "said"),
  [
    ("hf_wrong", "ann/digits", "does not know this token; log in again"),
    ("hf_bob", "ann/digits", "has no right to do this; make one that may"),
    (None, "ann/digits", "wants a token; log in with: hf auth login"),
    ("hf_ann", "digits", "'digits' names no repository; expected user/name"),
    ("hf_ann", "ann/--x..y", r"hf://ann/--x\.\.y"),
  ],
)
def test_what_the_hub_refuses_is_one_line(
  token, repo, said, run, hub, monkeypatch, tmp_path
):
  monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
  monkeypatch.delenv("HF_TOKEN")
  if token:
    monkeypatch.setenv("HF_TOKEN", token)
  with pytest.raises(RunError, match=said) as caught:
    share(run, repo)
  assert "\n" not in str(caught.value)
  assert not hub.repos


@pytest.mark.parametrize(
  "name", ["hf://digits", "hf://", "hf://a/b/c", "hf:/x"]
)
def test_a_name_that_is_none_says_what_one_is(name):
  with pytest.raises(RunError, match=r"expected user/name, or hf://user/name@"):
    runs.load(name)


def test_a_repository_of_other_things_is_no_export(hub):
  hub.repos["ann/other"] = {"private": False, "commits": [{"config.json": b""}]}
  with pytest.raises(RunError, match=r"is no export.*no model\.safetensors"):
    runs.load("hf://ann/other")


def test_without_the_package_the_extra_is_named(run, monkeypatch):
  monkeypatch.setitem(sys.modules, "huggingface_hub", None)
  for ask in (lambda: runs.load("hf://ann/digits"), lambda: share(run)):
    with pytest.raises(RunError, match=r"pip install 'cvae_jax\[hub\]'"):
      ask()


@pytest.fixture
def here(tmp_path, monkeypatch):
  folder = tmp_path / "here"
  folder.mkdir()
  monkeypatch.chdir(folder)
  return folder


def contents(folder):
  return sorted(path for path in folder.rglob("*") if path.is_file())


def test_commands_read_a_run_of_the_hub_and_write_here(run, hub, here, capsys):
  share(run)
  runs.load("hf://ann/digits")
  cache = contents(Path(constants.HF_HUB_CACHE))
  small.run_command(
    "sample", workdir="hf://ann/digits", set=["class=3,ink=0.5"]
  )
  small.run_command(
    "export", workdir="hf://ann/digits@main", formats=["safetensors"]
  )
  assert "wrote ann/digits/figures/asked.png" in capsys.readouterr().out
  assert (here / "ann/digits/figures/asked.png").is_file()
  assert_same(runs.load(here / "ann/digits/export"), run)
  assert contents(Path(constants.HF_HUB_CACHE)) == cache


def test_scores_of_a_run_of_the_hub_are_shown_and_not_kept(
  data, run, hub, capsys
):
  share(run)
  found = runs.load("hf://ann/digits")
  names_ = contents(found.folder)
  path = str(run.config.data.path)
  small.run_command("evaluate", workdir="hf://ann/digits", data=path, samples=0)
  said = capsys.readouterr().out.splitlines()
  assert any("elbo" in line.lower() for line in said)
  assert "are not kept: a run of the Hub is read only; fetch" in said[-1]
  with pytest.raises(RunError, match="nothing is written into hf://ann/digits"):
    kept.write(found.folder, "scores", {})
  assert contents(found.folder) == names_
  assert "hf://ann/digits" in found._repr_html_()
  assert "snapshots" not in found._repr_html_()


@pytest.mark.parametrize("flag", ["--workdir", "--out"])
def test_where_a_command_writes_a_name_of_the_hub_is_refused(flag):
  with pytest.raises(PathError, match=f"^{flag} is .*which is only read; give"):
    local("hf://ann/digits", flag)


def test_a_folder_that_only_looks_like_the_cache_is_no_run_of_the_hub():
  for folder in ("runs/digits", "/", "models--a--b", "models--a--b/snapshots"):
    assert names.origin(Path(folder)) is None
  inside = Path("/x/models--a-b--c.d--e/snapshots/0123")
  assert names.origin(inside) == "hf://a-b/c.d--e"
