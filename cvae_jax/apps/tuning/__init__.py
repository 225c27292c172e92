"""A search of a page's keys with Optuna: many short runs, the best one kept."""
