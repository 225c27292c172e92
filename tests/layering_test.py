"""Rooms: who may import whom, read from the sources without running them."""

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

from cvae_jax import data

ROOT = Path(__file__).parents[1]
STDLIB = sys.stdlib_module_names


@functools.cache
def tree(path):
  return ast.parse(path.read_text(), str(path))


@functools.cache
def imports(path):
  """Lists dotted names: `from a import b` gives a.b, so a and a.b match."""
  names = []
  for node in ast.walk(tree(path)):
    if isinstance(node, ast.Import):
      names += [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
      # launch has two names: launch, and cvae_jax.launch where installed.
      inside = path.parent == ROOT / "launch" and node.module is None
      assert node.level == 0 or inside, f"{path}: relative import"
      room = "launch" if inside else node.module
      names += [f"{room}.{alias.name}" for alias in node.names]
  return tuple(names)


def matches(name, rooms):
  return any(name == room or name.startswith(f"{room}.") for room in rooms)


def sources(*folders):
  found = [
    path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))
  ]
  assert found, folders
  return found


def relative(path):
  return path.relative_to(ROOT).as_posix()


def each(*folders):
  """Make a test of one file a test of all: it names those that fail."""

  def of_all(test):
    def every():
      failed = []
      for path in sources(*folders):
        try:
          test(path)
        except AssertionError as error:
          failed.append(f"{relative(path)}: {error}")
      assert not failed, "\n".join(failed)

    every.__name__ = test.__name__
    return every

  return of_all


def imported(path, *rooms):
  return [name for name in imports(path) if matches(name, rooms)]


def foreign(path, *allowed):
  """Lists imports that are neither the standard library's nor allowed."""
  return [
    name
    for name in imports(path)
    if name.split(".")[0] not in STDLIB and not matches(name, allowed)
  ]


EVERYWHERE = ("cvae_jax", "configs", "launch", "reports")


@each(*EVERYWHERE)
def test_no_other_framework(path):
  assert not imported(path, "tensorflow", "torch", "torchvision", "keras")


@each(*EVERYWHERE)
def test_only_nets_import_linen(path):
  if ROOT / "cvae_jax" / "nets" not in path.parents:
    assert not imported(path, "flax.linen", "flax.nnx", "haiku")


@each(*EVERYWHERE)
def test_only_checkpoint_imports_orbax(path):
  if path != ROOT / "cvae_jax" / "loop" / "folder" / "checkpoint.py":
    assert not imported(path, "orbax")


@each("cvae_jax", "configs")
def test_only_launch_has_flags(path):
  assert not imported(path, "absl.flags", "absl.app", "argparse")
  assert not imported(path, "ml_collections.config_flags")


DIFFERENTIATES = {
  "apply_updates",
  "grad",
  "jacfwd",
  "jacrev",
  "jvp",
  "value_and_grad",
  "vjp",
}


@each(*EVERYWHERE)
def test_only_update_differentiates_and_applies_updates(path):
  if path == ROOT / "cvae_jax" / "method" / "update.py":
    return
  used = {n.attr for n in ast.walk(tree(path)) if isinstance(n, ast.Attribute)}
  used |= {name.rsplit(".", 1)[-1] for name in imports(path)}
  assert not used & DIFFERENTIATES


@each("cvae_jax")
def test_the_package_imports_no_room_above_it(path):
  assert not imported(path, "launch", "configs", "tests", "benchmarks")


@each("cvae_jax/data")
def test_data_import_no_jax(path):
  assert not imported(path, "jax", "jaxlib", "flax", "optax")
  allowed = ("numpy", "pandas", "PIL", "pooch", "mlxtend", "rich")
  allowed += ("h5py", "pyarrow", "safetensors")
  assert not foreign(path, *allowed, "cvae_jax")


@each("configs")
def test_configs_import_only_ml_collections_and_config(path):
  assert not foreign(path, "ml_collections", "cvae_jax.config")


# Who may import whom, inside the package: a room, and what it may know.
LOW = ("types", "host", "settings")
MIDDLE = (
  *(*LOW, "method", "nets", "data", "metrics"),
  *("config", "pages", "defaults"),
)
HIGH = (*MIDDLE, "loop", "runs", "measures", "figures", "apps")
MAY_IMPORT = {
  "types": (),
  "settings": ("defaults",),
  "defaults": (),
  "host": ("host", "settings"),
  "pages": ("host", "settings", "defaults"),
  "config": ("host", "settings", "pages", "defaults"),
  "method": ("method", "types", "host.cpu"),
  "nets": ("nets", "method", "types"),
  "systems": ("systems.models", "nets", "method", "types"),
  "data": ("data", "host"),
  "metrics": (
    *("metrics", "method", "types", "host.images"),
    *("nets.features", "nets.inception"),
  ),
  "loop": (*MIDDLE, "loop"),
  "runs": (*MIDDLE, "loop"),
  "train": (*MIDDLE, "loop"),
  "measures": HIGH,
  "figures": HIGH,
  "apps": HIGH,
}


def room(path):
  """Return the room of a file: its folder or, at the top, its own name."""
  return path.relative_to(ROOT / "cvae_jax").with_suffix("").parts[0]


@each("cvae_jax")
def test_a_room_imports_only_rooms_below_it(path):
  if room(path) == "__init__":
    assert not imported(path, "cvae_jax")
    return
  own = [name for name in imports(path) if matches(name, ["cvae_jax"])]
  allowed = [f"cvae_jax.{name}" for name in MAY_IMPORT[room(path)]]
  allowed.append("cvae_jax.__version__")
  if path.parent.parent.name == "systems":  # a system in several files
    allowed.append(f"cvae_jax.systems.{path.parent.name}")
  assert not [name for name in own if not matches(name, allowed)]


@each("cvae_jax/loop")
def test_the_loop_knows_its_folder_and_a_restored_run_knows_both(path):
  own = imported(path, "cvae_jax.loop")
  floor = path.parent.name
  if floor == "folder":
    below = ("cvae_jax.loop.folder", "cvae_jax.loop.watch")
    assert not [name for name in own if not matches(name, below)]
  elif floor != "run":
    assert not imported(path, "cvae_jax.loop.run")


# A page holds all its variants, and what it says of them is its help.
LONG = ("configs/zoo.py",)


@each(*EVERYWHERE, "benchmarks")
def test_files_and_functions_are_short(path):
  lines = len(path.read_text().splitlines())
  assert lines <= (345 if relative(path) in LONG else 250)
  for node in ast.walk(tree(path)):
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
      assert node.end_lineno - node.lineno < 60, node.name


def test_the_package_has_few_doors_and_rooms():
  found = [
    path
    for path in (ROOT / "cvae_jax").iterdir()
    if path.suffix == ".py" or (path / "__init__.py").exists()
  ]
  assert len([path for path in found if path.suffix == ".py"]) <= 8
  assert len([path for path in found if path.is_dir()]) <= 10


PURE = (
  *("distributions", "gaussian", "kl_control", "likelihoods", "logistic"),
  *("losses", "names", "objectives", "priors", "regularisers", "schedules"),
  "softplus",
)


@pytest.mark.parametrize("name", PURE)
def test_the_mathematics_knows_only_arrays(name):
  path = ROOT / "cvae_jax" / "method" / f"{name}.py"
  own = "distributions gaussian logistic losses names softplus".split()
  own = [f"cvae_jax.method.{name}" for name in own] + ["cvae_jax.types"]
  assert not foreign(path, "jax", "optax", "numpy", "flax.struct", *own)


@each("cvae_jax/nets")
def test_nets_know_neither_losses_nor_configs(path):
  own = ("nets", "method.gaussian", "method.names", "method.softplus", "types")
  own = [f"cvae_jax.{name}" for name in own]
  assert not foreign(path, "jax", "flax.linen", "numpy", *own)


def test_update_knows_no_net_and_no_loss():
  room = ROOT / "cvae_jax" / "method"
  checks = "cvae_jax.method.player_checks"
  own = ("cvae_jax.host.cpu", "cvae_jax.types", checks)
  assert not foreign(room / "update.py", "jax", "optax", *own)
  assert not foreign(room / "player_checks.py", "jax", "cvae_jax.types")


@each("cvae_jax/systems")
def test_systems_are_methods_without_files_logs_or_data(path):
  assert not foreign(path, "jax", "optax", "numpy", "cvae_jax")
  assert not imported(
    path, "io", "json", "logging", "os", "pathlib", "shutil", "sys", "tempfile"
  )
  calls = {
    node.func.id
    for node in ast.walk(tree(path))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
  }
  assert not calls & {"open", "print", "input"}


@each("cvae_jax")
def test_systems_and_sources_are_found_by_name_and_never_imported(path):
  # Adding one then needs no change elsewhere.
  if path.parent.name not in ("systems", "data"):
    folder = ROOT / "cvae_jax" / "systems"
    systems = {f"cvae_jax.systems.{file.stem}" for file in folder.glob("*.py")}
    systems |= {f"cvae_jax.data.{name}" for name in data.sources()}
    assert not imported(path, *systems)


@each("cvae_jax")
def test_whole_files_are_written_atomically(path):
  # A file opened for writing elsewhere could be left half-written.
  appends = ("record.py",)  # metrics.jsonl grows line by line
  if path.name in ("files.py", *appends):
    return
  for node in ast.walk(tree(path)):
    if isinstance(node, ast.Attribute):
      assert node.attr not in ("write_text", "write_bytes"), node.lineno


def test_modules_do_not_import_each_other_in_circles():
  def name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

  modules = {name(path): path for path in sources("cvae_jax")}

  def edges(module):
    for imported_name in imports(modules[module]):
      # `from a.b import c`: c is a module or a name in a.b.
      for target in (imported_name, imported_name.rpartition(".")[0]):
        if target in modules:
          yield target
          break

  done = set()
  path = []

  def visit(module):
    assert module not in path, " → ".join([*path, module])
    if module in done:
      return
    path.append(module)
    for target in edges(module):
      visit(target)
    path.pop()
    done.add(module)

  for module in modules:
    visit(module)


@pytest.mark.parametrize(
  ("modules", "heavy"),
  [
    ("cvae_jax", {"jax", "numpy", "pandas"}),
    ("cvae_jax.train, cvae_jax.runs, cvae_jax.apps.explore.photo", set()),
  ],
)
def test_importing_brings_in_no_other_framework(modules, heavy):
  frameworks = {"tensorflow", "torch", "keras", "gradio"} | heavy
  code = f"import sys, {modules}; print(*{frameworks} & set(sys.modules))"
  result = subprocess.run(
    [sys.executable, "-c", code],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=True,
  )
  assert result.stdout.split() == []


def test_reading_a_config_brings_in_no_jax():
  # So that --help and a typing error take no seconds.
  code = (
    "import sys\nfrom cvae_jax import config\nfor name in sys.argv[1:]:\n"
    "  config.load(name)\n  assert 'jax' not in sys.modules, name"
  )
  names = [relative(path) for path in sources("configs")]
  subprocess.run([sys.executable, "-c", code, *names], cwd=ROOT, check=True)
