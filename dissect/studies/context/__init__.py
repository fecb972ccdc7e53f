"""Context: the same units inserted at many places, and what comes where."""
