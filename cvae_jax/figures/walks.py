"""Ways from one latent to another, see `loop.walks`."""

from cvae_jax.loop.walks import arc as arc, line as line
