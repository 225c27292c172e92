"""The page, a file for each panel. Only this room and `serve` import Gradio."""
