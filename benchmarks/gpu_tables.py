"""The tables that gpu.py prints, in Markdown."""


def markdown(rows: list[dict], names: dict[str, str]) -> str:
  """Write rows as a Markdown table with the given columns and headings."""
  lines = [" | ".join(names.values()), " | ".join("---" for _ in names)]
  for row in rows:
    lines.append(" | ".join(_format(row.get(name, "–")) for name in names))
  return "\n".join(f"| {line} |" for line in lines)


def _format(value) -> str:
  if isinstance(value, float):
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
  return str(value)


STEPS = {
  "family": "step",
  "precision": "precision",
  "form": "formulation",
  "dispatch": "steps a call",
  "resident": "data on the device",
  "batch": "batch",
  "ms": "ms a step",
  "examples_per_second": "examples/s",
  "mib": "MiB",
}
LAYERS = {
  "layer": "layer",
  "precision": "precision",
  "lax": "lax, ms",
  "matmul": "matrix products, ms",
  "ratio": "matrix products / lax",
}
TORCH = {
  "family": "step",
  "precision": "precision",
  "setting": "PyTorch",
  "batch": "batch",
  "ms": "ms a step",
  "examples_per_second": "examples/s",
  "mib": "MiB",
}
