"""Pictures of measured effects: curves, bars and sheets of images."""
