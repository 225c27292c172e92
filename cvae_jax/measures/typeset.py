"""Tables of text as Markdown, LaTeX and aligned columns; values as text."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

_LATEX = {
  "\\": r"\textbackslash{}",
  "~": r"\textasciitilde{}",
  "^": r"\textasciicircum{}",
  "±": r"$\pm$",
  "−": "$-$",
  "–": "--",
  "…": r"\ldots{}",
  **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}


def cell(value: Any) -> str:
  """Write one value: four significant digits, thousands apart.

  None and nan become a dash.
  """
  if value is None or value != value:
    return "–"
  if isinstance(value, float):
    small = f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return small.replace("-", "−")
  if isinstance(value, int) and not isinstance(value, bool):
    return f"{value:,}".replace("-", "−")
  return str(value)


def spread(values: Sequence[float | None], factor: float = 1.0) -> str | None:
  """Write the mean of several runs' values ± their standard deviation.

  None and nan are left out. One value has no deviation; without values the
  text is empty. Equal whole numbers stay whole.
  """
  known = [factor * v for v in values if v is not None and v == v]
  if not known:
    return None
  if len({*known}) == 1 and all(float(v).is_integer() for v in known):
    return cell(int(known[0])) + (" ± 0" if len(known) > 1 else "")
  centre = cell(float(np.mean(known)))
  if len(known) < 2:
    return centre
  deviation = float(np.std(known, ddof=1))
  small = f"{deviation:.2g}" if deviation < 100 else cell(deviation)
  return f"{centre} ± {small}"


def markdown(table: pd.DataFrame) -> str:
  """Lay a table of text out as Markdown."""
  lines = [list(table.columns), ["---"] * len(table.columns)]
  lines += table.to_numpy().tolist()
  escaped = [[word.replace("|", r"\|") for word in line] for line in lines]
  return "\n".join(f"| {' | '.join(line)} |" for line in escaped)


def latex(table: pd.DataFrame) -> str:
  """Lay a table of text out as a LaTeX tabular with booktabs' rules."""
  head, *body = [list(table.columns), *table.to_numpy().tolist()]
  rows = [" & ".join(map(_escape, line)) + r" \\" for line in (head, *body)]
  columns = "l" + "r" * (len(head) - 1)
  lines = [
    "% needs \\usepackage{booktabs}",
    rf"\begin{{tabular}}{{{columns}}}",
    r"\toprule",
    rows[0],
    r"\midrule",
    *rows[1:],
    r"\bottomrule",
    r"\end{tabular}",
  ]
  return "\n".join(lines) + "\n"


def _escape(text: str) -> str:
  return re.sub(".", lambda match: _LATEX.get(match[0], match[0]), text)


def text(table: pd.DataFrame) -> str:
  """Lay a table of text out in aligned columns."""
  return table.to_string(index=False)
