"""The face report's page: tables, pictures and verdicts as Markdown."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from reports import claims, markdown
from reports.faces import claims as face_claims

FIGURES = {
  "settings": "gender and hair by mouth and eyes, one latent throughout (the "
  "source's 54 settings)",
  "sweeps": "one condition moves over its range in each row; the latent and "
  "the other conditions stay",
  "interpolation": "from one latent to another along the sphere, one setting "
  "of the conditions in each row",
}

CONTROL = """\
Independent networks, trained on real faces, read the samples: *asked for* one
attribute at a time, or under conditions of held-out faces. A class's figure is
the share read as asked, a value's the correlation of asked and read, with its
slope. *Ceiling* is the same reading of real held-out faces; *floor* the share
of hits that permuted requests have on average, or the correlation that 95 % of
them stay below; *samples* are those asked one at a time. Below: what each
attribute, moved from low to high with all else held, changes in the others, in
standard deviations of real faces."""

Models = Mapping[int, Mapping[str, Any]]  # by rung of the ladder


def page(
  models: Models, shown: int, drawn: Collection[str], command: str
) -> str:
  """Lay the whole report out.

  Args:
    models: what reports.faces gathered of each run.
    shown: whose figures there are.
    drawn: names of those figures.
    command: that writes it.
  """
  parts = [
    f"# The face ladder: all tables\n\nWritten by `{command}`; run it again "
    "to renew it.",
    _setting(models),
    f"## Training\n\n{_training(models)}",
    "![Losses](faces_curves.png)\n\n*Loss of each epoch: trained here, over "
    "the published one.*",
    f"## Held-out faces and diversity\n\n{_held_out(models)}",
    f"## Control\n\n{_control(models)}",
    "## Pictures\n\nAll are generated from latents drawn at random; no face "
    "was encoded for them.",
    "![Samples](faces_samples.png)\n\n*A row is one latent of one model, "
    "under eight settings of the conditions.*",
    *(
      f"![{name}](faces_{name}.png)\n\n*Model {shown}: {words}.*"
      for name, words in FIGURES.items()
      if name in drawn
    ),
    f"## What the source concluded\n\n{_verdicts(models)}",
    f"## What confounds it\n\n{face_claims.CONFOUNDS}",
  ]
  return "\n\n".join(part.strip() for part in parts) + "\n"


def _setting(models: Models) -> str:
  """Say on what data, how far, where and by which code."""
  known = [m for m in models.values() if "data" in m]
  lines = ["The data are not here, so only what runs recorded is reported."]
  if known:
    first = known[0]
    train, test = first["counts"]
    lines = [
      f"{train:,} {first['data']} train the models, {test:,} are held out. "
      f"Conditions: {', '.join(first['conditions'])}."
    ]
  absent = [str(k) for k in range(1, 16) if k not in models]
  partial = [str(k) for k, m in models.items() if not m["complete"]]
  for words, rungs in (("", absent), (" to the end", partial)):
    if rungs:
      lines.append(f"Not trained{words}: {', '.join(rungs)}.")
  where = markdown.describe_training(m["environment"] for m in models.values())
  return " ".join([*lines, where])


def _training(models: Models) -> str:
  rows = [
    {
      "model": k,
      "latents": m["H"],
      "W": m["W"],
      "parameters": m["parameters"],
      "epochs": m["epochs"],
      "loss": m["loss"],
      "published": m["published"],
      "ratio": m["published"] and m["loss"] / m["published"],
      "W · MSE": m["weighted_squared_error"],
      "KL": m["kl"],
      "L2": m["l2"],
      "rises": m["rises"],
      "s/epoch": m["seconds"] and m["seconds"] / m["epochs"],
      "launches": m["launches"],
    }
    for k, m in models.items()
  ]
  return f"""\
{markdown.table(rows)}

Losses are means over the last epoch with dropout on. *Published* is the
source's loss at that epoch, on other faces; *rises* counts the epochs whose
loss was above the one before. Seconds include compiling, evaluating and
saving, up to the last checkpoint; what a kill took back is not in them. A run
of more than one launch was interrupted.

{chr(10).join(_orders(models))}{_repeated(models)}"""


def _repeated(models: Models) -> str:
  """Tabulate the losses of models that were trained with several seeds."""
  rows = [
    {
      "model": k,
      "seed": seed,
      "epochs": m["epochs"],
      "loss": m["loss"],
      "held-out loss": m.get("test loss"),
      "PSNR, dB": m.get("test psnr"),
    }
    for k, model in models.items()
    for seed, m in sorted(model["seeds"].items())
    if len(model["seeds"]) > 1
  ]
  return (
    f"\n\nModels of several seeds:\n\n{markdown.table(rows)}" if rows else ""
  )


def _orders(models: Models) -> Iterator[str]:
  """Set our order of comparable models beside the published one."""
  for weight in sorted({m["W"] for m in models.values()}, reverse=True):
    alike = [
      k
      for k, m in models.items()
      if m["W"] == weight and m["published"] and m["complete"]
    ]
    if len(alike) > 1:
      ours, theirs = (
        ", ".join(map(str, sorted(alike, key=lambda k: models[k][name])))
        for name in ("loss", "published")
      )
      yield f"- W = {weight:g}, lowest loss first: {ours}; published: {theirs}"


def _held_out(models: Models) -> str:
  rows = [
    {
      "model": k,
      "loss": m.get("test loss"),
      "ELBO, nats": m.get("test elbo"),
      "PSNR, dB": m.get("test psnr"),
      "active latents": m.get("active"),
      "samples": m.get("sampled_ratio"),
      "one condition": m.get("one_condition_ratio"),
      "reconstructions": m.get("reconstructed_ratio"),
      "error": m.get("error"),
    }
    for k, m in models.items()
  ]
  measured = [m for m in models.values() if "protocol" in m]
  how = "Diversity is not measured: that needs the held-out faces."
  if measured:
    protocol = measured[0]["protocol"]
    real = measured[0]["real"]
    how = f"""\
The last four columns are distances: root mean squared difference per value,
over {protocol["images"]} held-out faces. The mean distance of two of them is
{real:.4f}; *samples* (latents from N(0, I), the faces' own conditions), *one
condition* ({protocol["samples"]} samples each under eight settings, the mean)
and *reconstructions* (from posterior means) are mean pairwise distances
beside that, so 1 is as varied as real faces and 0 is one and the same picture.
*Error* is the distance of a face and its reconstruction. Decoders give means
without noise, so less than 1 is expected. A latent is active where its
posterior mean's variance over the faces is above 0.01."""
  return f"""\
{markdown.table(rows)}

Loss is W · MSE + KL of the held-out faces, dropout off, without L2.
{how}"""


def _control(models: Models) -> str:
  """Tabulate control by attribute, then what each one leaks into."""
  rows = [
    {"model": rung, **row}
    for rung, model in models.items()
    for row in markdown.control(model["scores"])
  ]
  if not rows:
    return (
      "Not measured: no judge read the samples of these states (`python -m "
      "launch.evaluate --judge=…`)."
    )
  leaks = [_leakage(rung, model["scores"]) for rung, model in models.items()]
  return "\n\n".join([markdown.table(rows), CONTROL, *filter(None, leaks)])


def _leakage(rung: int, scores: Mapping[str, Any]) -> str:
  if not scores.get("leakage"):
    return ""
  rows = [
    {f"model {rung}, moved": moved, **change}
    for moved, change in scores["leakage"]["normalised"].items()
  ]
  return markdown.table(rows)


def _verdicts(models: Models) -> str:
  judged = (face_claims.shortcuts(models), face_claims.weight(models))
  return claims.page(judged)
