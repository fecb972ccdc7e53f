"""Training recipe of ``scenes-dalle``: discrete autoencoder, transformer over codes."""
