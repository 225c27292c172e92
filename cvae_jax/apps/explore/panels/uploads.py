"""A place for a picture: chosen, dropped, or drawn with the mouse."""

import base64
import binascii

import gradio as gr

from cvae_jax.apps.explore import photo
from cvae_jax.runs import RunError

# The file goes to the server as text in the event, so that none is stored
# there and no path of it is shown.
_SCRIPT = """
const limit = %d;
const send = (file) => {
  if (!file) return;
  if (file.size > limit) { trigger('upload', {content: 'too large'}); return; }
  const reader = new FileReader();
  reader.onload = () => trigger('upload', {content: reader.result});
  reader.readAsDataURL(file);
};
element.addEventListener('change', (event) => {
  if (event.target.type === 'file') send(event.target.files[0]);
});
for (const name of ['dragover', 'drop']) {
  element.addEventListener(name, (event) => {
    event.preventDefault();
    if (name === 'drop') send(event.dataTransfer.files[0]);
  });
}
"""
_PLACE = """
<label class="ex-drop"><input type="file" accept="image/*"
  aria-label="%s"><span><b>%s</b><br>Choose a file or drop one here</span>
</label>${value}
"""
_CANVAS = """
<canvas class="ex-canvas" width="280" height="280" role="img"
  aria-label="Draw a digit here with the mouse, a pen or a finger"></canvas>
<div class="ex-links"><button type="button" class="ex-copy"
  data-clear>Clear</button></div>
"""
_DRAW = """
const canvas = element.querySelector('canvas');
const pen = canvas.getContext('2d', {willReadFrequently: true});
const clear = () => { pen.fillStyle = '#fff'; pen.fillRect(0, 0, 280, 280); };
clear();
pen.lineWidth = 20; pen.lineCap = pen.lineJoin = 'round';
let down = false;
const at = (event) => {
  const box = canvas.getBoundingClientRect();
  return [(event.clientX - box.left) * 280 / box.width,
          (event.clientY - box.top) * 280 / box.height];
};
canvas.addEventListener('pointerdown', (event) => {
  down = true; canvas.setPointerCapture(event.pointerId);
  pen.beginPath(); pen.moveTo(...at(event)); pen.lineTo(...at(event));
  pen.stroke();
});
canvas.addEventListener('pointermove', (event) => {
  if (!down) return;
  pen.lineTo(...at(event)); pen.stroke();
});
canvas.addEventListener('pointerup', () => {
  down = false;
  trigger('upload', {content: canvas.toDataURL('image/png')});
});
element.querySelector('[data-clear]').addEventListener('click', () => {
  clear(); trigger('clear');
});
"""


def place(title: str) -> gr.HTML:
  """Put a place for a picture onto the page; its event is `upload`."""
  return gr.HTML(
    "",
    html_template=_PLACE % (title, title),
    js_on_load=_SCRIPT % photo.BYTES,
  )


def canvas() -> gr.HTML:
  """Put a sheet to draw on onto the page: `upload` at each stroke's end."""
  return gr.HTML("", html_template=_CANVAS, js_on_load=_DRAW)


def content(event: gr.EventData) -> bytes:
  """Return the bytes of an upload.

  Raises:
    RunError: it is too large or damaged.
  """
  text = str(event.content)
  if text == "too large" or len(text) > 1.4 * photo.BYTES:
    raise RunError(
      f"the file is too large: at most {photo.BYTES >> 20} MB are read; make "
      "the picture smaller"
    )
  try:
    return base64.b64decode(text.partition(",")[2], validate=True)
  except binascii.Error:
    raise RunError("the upload is damaged; send it again") from None
