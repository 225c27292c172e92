"""How the page looks: fonts of the machine, nothing from elsewhere."""

import gradio as gr

FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")
MONO = ("ui-monospace", "Menlo", "Consolas", "monospace")

CSS = """
.gradio-container { max-width: 1240px !important; margin: 0 auto !important; }
.gradio-container, .gradio-container > main { width: 100% !important; }
footer { display: none !important; }
.ex-head h1 { font-size: 1.35rem; font-weight: 650; margin: 0; }
.ex-head p { margin: .15rem 0 0; color: var(--neutral-600); }
.dark .ex-head p { color: var(--neutral-300); }
.ex-figure { margin: 0; text-align: center; }
.ex-figure figcaption, .ex-cell figcaption {
  margin-top: .45rem; font-size: .9rem; color: var(--body-text-color); }
.ex-large { width: 100%; max-width: 380px; aspect-ratio: auto; margin: 0 auto;
  border-radius: 8px; border: 1px solid var(--border-color-primary); }
.ex-pixels { image-rendering: pixelated; }
.ex-answer img, .ex-row img, .ex-grid img, .ex-plane img { display: block; }
.ex-run h3 small { font-weight: 400; }
.ex-answer .ex-large { display: block; }
.ex-strip { display: grid; grid-template-columns: repeat(9, 1fr); gap: 5px;
  max-width: 380px; margin: .7rem auto 0; }
@media (max-width: 480px) {
  .ex-strip { grid-template-columns: repeat(5, 1fr); } }
.ex-draw { padding: 0; margin: 0 !important; border: 2px solid transparent;
  border-radius: 6px; overflow: hidden; cursor: pointer; background: none;
  line-height: 0; }
.ex-draw img { width: 100%; }
.ex-draw[aria-pressed="true"] { border-color: var(--color-accent); }
.ex-draw:hover { border-color: var(--color-accent-soft); }
.ex-draw:focus-visible, .ex-copy:focus-visible, .ex-links a:focus-visible,
.ex-scroll:focus-visible, .ex-plane:focus-visible {
  outline: 3px solid var(--color-accent); outline-offset: 2px; }
.ex-links { display: flex; flex-wrap: wrap; justify-content: center;
  gap: .5rem; margin-top: .9rem; }
.ex-links a, .ex-copy { font-size: .875rem; font-weight: 500;
  padding: .35rem .8rem; border-radius: 999px;
  border: 1px solid var(--border-color-primary);
  color: var(--body-text-color); text-decoration: none; cursor: pointer;
  background: var(--background-fill-primary); }
.ex-links a:hover, .ex-copy:hover { border-color: var(--color-accent);
  color: var(--color-accent); }
.ex-row { display: grid; gap: .8rem;
  grid-template-columns: repeat(auto-fill, minmax(92px, 1fr)); }
.ex-cell { margin: 0; text-align: center; }
.ex-cell img { width: 100%; border-radius: 6px;
  border: 1px solid var(--border-color-primary); }
.ex-few .ex-row { grid-template-columns: repeat(3, minmax(0, 150px)); }
.ex-hand .ex-row { grid-template-columns: repeat(5, minmax(0, 120px)); }
.ex-hand p { margin: .8rem 0; }
.ex-walk .ex-row { grid-template-columns: repeat(4, minmax(0, 130px)); }
.ex-wide .ex-row { grid-template-columns: repeat(auto-fill,
  minmax(220px, 1fr)); }
.ex-scroll { overflow-x: auto; contain: inline-size; }
.ex-grid { border-collapse: separate; border-spacing: 3px; margin: 0 auto; }
.ex-grid, .ex-grid tr, .ex-grid td, .ex-grid th { border: none !important; }
.ex-grid td, .ex-grid th { padding: 0; text-align: center;
  font-weight: 500; font-size: .82rem; color: var(--body-text-color); }
.ex-grid th[scope="row"] { padding-right: .6rem; text-align: right;
  white-space: nowrap; }
.ex-grid img { width: clamp(44px, calc((100vw - 220px) / var(--n)), 92px);
  border-radius: 4px; }
.ex-plane { position: relative; max-width: 560px; margin: 0 auto;
  cursor: crosshair; border-radius: 8px; overflow: hidden; line-height: 0;
  border: 1px solid var(--border-color-primary); }
.ex-plane img { width: 100%; }
.ex-plane .ex-mark { position: absolute; width: 16px; height: 16px;
  margin: -8px; border-radius: 50%; border: 3px solid #fff;
  background: var(--color-accent); box-shadow: 0 0 0 1.5px #0008;
  pointer-events: none; }
.ex-axes { display: flex; justify-content: space-between; max-width: 560px;
  margin: .35rem auto 0; font-size: .85rem;
  color: var(--body-text-color-subdued); }
.ex-message { padding: .6rem .8rem; border-radius: 6px; margin: 0;
  background: var(--background-fill-secondary);
  color: var(--body-text-color); }
.ex-drop { display: block; text-align: center; padding: 1.4rem 1rem;
  border: 2px dashed var(--border-color-primary); border-radius: 8px;
  cursor: pointer; color: var(--body-text-color); }
.ex-drop:hover, .ex-drop:focus-within { border-color: var(--color-accent); }
.ex-drop input { position: absolute; opacity: 0; width: 1px; height: 1px; }
.ex-canvas { display: block; width: 100%; max-width: 300px; margin: 0 auto;
  aspect-ratio: 1; background: #fff; border-radius: 8px; touch-action: none;
  border: 1px solid var(--border-color-primary); cursor: crosshair; }
.ex-curves { width: 100%; background: #fff; border-radius: 8px; }
.ex-key { margin-right: 1rem; } .ex-key::before { content: ""; width: 1.4em;
  border-top: 3px solid var(--key); display: inline-block; margin-right: .4em;
  vertical-align: middle; }
.ex-run { margin-bottom: 1rem; }
.ex-note { color: var(--neutral-600); font-size: .875rem; }
.dark .ex-note { color: var(--neutral-300); }
"""


def theme() -> gr.themes.Base:
  """Return the page's colours and fonts."""
  return gr.themes.Base(
    primary_hue="indigo",
    neutral_hue="slate",
    font=FONTS,
    font_mono=MONO,
    radius_size="md",
  )
