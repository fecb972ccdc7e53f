"""Context: the same units inserted at many places, and the concepts that appear at each."""
