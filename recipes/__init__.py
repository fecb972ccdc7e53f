"""The training scripts of all shipped weights."""
