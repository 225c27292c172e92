"""The colouring runs beside their source."""
