"""AE, VAE, GAN and WGAN-GP compared."""
