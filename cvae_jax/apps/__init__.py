"""What a person does with a trained run, beside sampling and scoring it."""
