"""Networks that read whole images: features and attributes, with weights from other packages."""
