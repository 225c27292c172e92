"""Flags of the other commands, and settings, with numbers of no meaning."""

from benchmarks.faults import launching
from benchmarks.faults.case import Group
from benchmarks.faults.data_photos import _picture
from benchmarks.faults.judges import no_trouble, refused
from benchmarks.faults.numerics import _training

_group = Group("numerics")
faults = _group.faults


def _asked(module, *words):
  def act(room):
    run = room.copy()
    picture = room.folder / "photo.png"
    _picture().save(picture)
    place = (f"--workdir={run}",) if module != "verify" else (run,)
    image = [f"--image={picture}"] * (module in ("edit", "colourise"))
    return room.command(f"launch.{module}", *place, *image, *words)

  return act


_FLAGS = {
  "sample": ("--seed=-1", f"--seed={2**32}", "--seed=1e3", "--seed=nan"),
  "evaluate": (
    "--samples=-1",
    "--samples=1.5",
    "--per_class=0",
    "--per_class=-3",
    "--data=",
  ),
  "verify": ("--tolerance=-1", "--tolerance=nan", "--tolerance=inf"),
  "colourise": ("--variants=0", "--variants=x", "--smoothing=none"),
  "edit": ("--crop=-1", "--set=ink", "--set==1", "--sweep=,", "--square=1,2"),
}
for _module, _flags in _FLAGS.items():
  for _flag in _flags:
    _name = _flag.lstrip("-").partition("=")[0]
    _group.add(
      f"{_module} {_flag}",
      _asked(_module, _flag),
      refused(_name, "run"),
      quick=True,
    )
for _flag in (
  "--workers=0",
  "--workers=-1",
  "--workers=10000000",
  "--size=1",
  "--size=2.5",
  "--resize=none",
  "--out=",
):

  def _prepared(room, flag=_flag):
    words = (f"--images={room.base.photos()}", f"--out={room.folder / 'out'}")
    return launching.script("prepare_photos", *words, flag)

  _group.add(
    f"prepare_photos {_flag}",
    _prepared,
    no_trouble(_flag.lstrip("-").partition("=")[0]),
    quick=True,
  )

_SETTINGS = {
  "optim.lr": ("1e39", "1e-320", "1e400"),
  "loss.mse": ("1e39", "1e-46"),
  "optim.eps": ("0",),
  "epochs": ("1e3", "9999999999999999999999", str(2**30)),
  "batch_size": ("32.5", "true"),
  "steps_per_dispatch": ("1000000000",),
  "early_stop.metric": ("nothing",),
  "plateau.metric": ("nothing",),
  "early_stop.patience": ("-1",),
  "distance.images": ("-1", "1000000000"),
  "data.ink": ("dark", ""),
  "data.path": ("/dev/null", "/dev/zero", "~nobody/x"),
  "data.source": ("cifar", ""),
  "system": ("cvea", "", "os.system", "../cvae", "cvae_jax.systems.cvae"),
  "init_from": ("/nowhere", "@5", ":encoder", "/dev/null"),
}
for _key, _values in _SETTINGS.items():
  for _value in _values:
    _last = _key.rpartition(".")[2]
    _group.add(
      f"--config.{_key}={_value}",
      _training(_key, _value),
      no_trouble(_key, _last, "finite", "/nowhere", "digits", "metric"),
      limit=150,
    )
