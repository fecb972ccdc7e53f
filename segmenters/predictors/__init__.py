"""Predictors of whole images: features and attributes, with weights from other packages."""
