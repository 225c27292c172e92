"""What the tests of imported weights share: systems, and names of layers."""

CVAE = "zoo:scvae"
WIDTHS = {
  "model.encoder.widths": (6,),
  "model.decoder.widths": (5,),
  "model.latents": 3,
}


def of_convolutions(down: str, down_norm: str, up: str, up_norm: str) -> dict:
  """Name the convolutions and norms of "vae_64" as another program does.

  Args:
    down: names of the encoder's four convolutions, "down_{}" with a number.
    down_norm: of the norms after all but the first, numbered from 0.
    up: of the decoder's four transposed convolutions.
    up_norm: of the norms after all but the last, numbered from 0.
  """
  table = {"encoder.conv_0": down.format(0)}
  for i in (1, 2, 3):
    table[f"encoder.conv_{i}"] = down.format(i)
    table[f"encoder.conv_{i}.norm"] = down_norm.format(i - 1)
  for i in range(4):
    table[f"decoder.conv_{i}"] = {"from": up.format(i), "as": "conv_transpose"}
  for i in range(3):
    table[f"decoder.conv_{i}.norm"] = up_norm.format(i)
  return table
