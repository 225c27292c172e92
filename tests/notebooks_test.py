"""The notebooks run from top to bottom, as scripts and in Jupyter."""

import runpy
import sys
import tempfile

import pytest

from tests import small

PAGES = sorted((small.ROOT / "notebooks").glob("*.py"))


def test_there_are_pages_for_a_start_own_data_conditions_and_choices():
  names = {page.stem for page in PAGES}
  assert names == {"start", "own_data", "conditions", "choices"}


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
  """Works in a folder of its own, as briefly as pages can."""
  monkeypatch.chdir(tmp_path)
  monkeypatch.setenv("QUICK", "1")
  monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
  return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
@pytest.mark.usefixtures("elsewhere")
def test_a_page_runs_as_a_script(page):
  left = runpy.run_path(str(page))
  runs = [v for v in left.values() if type(v).__name__ == "Run"]
  for run in runs:
    assert "data:image/png" in run._repr_html_()
  assert runs or page.stem == "choices"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_page_runs_in_jupyter_and_shows_runs_and_pictures(
  elsewhere, monkeypatch
):
  jupytext = pytest.importorskip("jupytext")
  nbclient = pytest.importorskip("nbclient")
  pytest.importorskip("ipykernel")
  monkeypatch.setenv("TMPDIR", str(elsewhere))
  monkeypatch.setenv("PYTHONPATH", ":".join([str(small.ROOT), *sys.path[1:]]))
  notebook = jupytext.read(small.ROOT / "notebooks" / "start.py")
  client = nbclient.NotebookClient(
    notebook,
    timeout=240,
    kernel_name="python3",
    resources={"metadata": {"path": str(elsewhere)}},
  )
  client.execute()
  shown = [
    kind
    for cell in notebook.cells
    if cell.cell_type == "code"
    for output in cell.outputs
    for kind in output.get("data", ())
  ]
  assert shown.count("image/png") == 3  # grid, traverse, interpolate
  assert shown.count("text/html") == 3  # two runs, a table
