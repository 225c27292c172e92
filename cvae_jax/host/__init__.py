"""What this machine offers: files, images, locks, the terminal, the CPU."""
