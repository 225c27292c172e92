"""Export a run: write one folder that other programs can read, too."""
