"""What a method is written with: arrays in, arrays out."""
