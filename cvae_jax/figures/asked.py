"""Pictures of what a run is asked for in words, see `loop.pictures`."""

from cvae_jax.loop.pictures import Picture as Picture, draw as draw
