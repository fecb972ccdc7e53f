"""The scripts that made every shipped weight."""
