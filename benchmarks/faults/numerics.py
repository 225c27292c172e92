"""Numbers in a config that no run can be trained with."""

from benchmarks.faults.case import Group
from benchmarks.faults.judges import no_trouble, refused, works

_group = Group("numerics")
faults = _group.faults


def _training(key: str, value: object):
  def act(room):
    run = room.folder / "run"
    group, _, last = key.rpartition(".")
    on = [f"--config.{group}.metric=loss"] * (last in ("min_delta", "factor"))
    done = room.train(run, *on, f"--config.{key}={value}", epochs=1)
    if done.code == 0 and not (run / "DONE").exists():
      done.value = "no DONE"
    return done

  return act


# Each of these means nothing. The message names the key or its last part.
_BAD = {
  "batch_size": (0, -1, 401, 10**9),
  "epochs": (-1, 0),
  "log_every": (0, -1),
  "checkpoint_every": (0, -1),
  "evaluate_every_epochs": (0, -3),
  "steps_per_dispatch": (-1, 5, 7),
  "keep": (0, -2),
  "optim.lr": (-0.001, "nan", "inf", "-inf"),
  "optim.eps": (-1.0, "nan"),
  "optim.decay": (-1.0, "nan", "inf"),
  "loss.mse": (-1.0, "nan", "inf"),
  "loss.l2": (-1.0, "nan"),
  "loss.grey": ("nan",),
  "model.encoder.latents": (0, -1),
  "model.encoder.dense": (0, -5),
  "model.encoder.strides": ("'(0,)'", "'(-1,)'", "'(2,2)'"),
  "model.encoder.features": ("'(0,)'", "'()'"),
  "model.encoder.dropout": ("'(1.0,)'", "'(-0.1,)'", "'(2.0,)'", "'(nan,)'"),
  "model.decoder.map": ("'(0,14,2)'", "'(14,14)'", "'(7,7,2)'"),
  "model.decoder.features": ("'(0,)'", "'(3,)'"),
  "data.conditions": (-1, 10**6),
  "data.image_shape": ("'(0,0,1)'", "'(28,28)'"),
  "early_stop.min_delta": ("nan",),
  "plateau.factor": ("nan",),
}
for _key, _values in _BAD.items():
  for _value in _values:
    _value = str(_value).strip("'")
    _last = _key.rpartition(".")[2]
    # One at first: these switch their part on.
    _quick = "model" not in _key and _key not in ("loss.grey",)
    _group.add(
      f"{_key}={_value}",
      _training(_key, _value),
      refused(_key, _last, "learning rate"),
      quick=_quick and _value in ("0", "-1", "nan", "-1.0"),
    )
for _value in (-1, 2**31, 2**32, 2**63, 2**64, -(2**63)):
  _group.add(f"seed={_value}", _training("seed", _value), no_trouble("seed"))
for _key, _value in {
  "optim.learning_rate": "0.1",
  "optim.lrr": "0.1",
  "modle.encoder.dense": "9",
  "model.encodre.dense": "9",
  "batchsize": "3",
  "optim": "3",
  "epochs": "many",
  "epochs ": "2.5",
  "model.encoder.dense": "eight",
  "loss.l2": "'[1]'",
  "optim.lr": "abc",
}.items():
  _group.add(
    f"flag --config.{_key.strip()}={_value}",
    _training(_key.strip(), _value.strip("'")),
    refused(_key.strip(), _key.strip().partition(".")[0]),
    quick=True,
  )


@_group.fault("a diverging rate", refused("step", "learning rate"))
def _(room):
  return room.train(room.folder / "run", "--config.optim.lr=10000.0")


@_group.fault(
  "two seeds 2**32 apart give one run", works(lambda equal: not equal)
)
def _(room):
  # Either the seed is refused, or it is another run.
  one = room.folder / "one"
  two = room.folder / "two"
  room.train(one, epochs=1, seed=1)
  done = room.train(two, epochs=1, seed=1 + 2**32)
  if done.code:
    done.code = 0
    done.value = done.text if "seed" not in done.text else ""
  else:
    from benchmarks.equal_runs import final_state, unequal_leaves

    states = [final_state(folder)[0] for folder in (one, two)]
    done.value = not unequal_leaves(*states)
  return done
