"""The page: a file a panel. Only this room and `serve` know Gradio."""
