"""A blind test of labels: a person sees a unit's top images and chooses among four concepts.

``questions`` chooses units and concepts, ``answers`` keeps what people chose, ``score`` says how
often they chose the label, by rung. The pages that ask are ``reports.blind``, one HTML file, and
the dashboard's. Nothing in here imports torch.
"""
