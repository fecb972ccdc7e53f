"""A blind test of labels: a person sees a unit's top images and chooses among four concepts.

``questions`` selects units and concepts, ``answers`` stores the answers, ``score`` computes how
often people chose the label, by rung. The test itself is shown by ``reports.blind``, one HTML file,
and by the dashboard. Nothing in here imports torch.
"""
