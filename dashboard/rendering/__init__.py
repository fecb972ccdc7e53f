"""Rendering: a worker process per run owns its generator; web threads only send and wait.

``process`` is the server's side of a worker, ``renderers`` manages a few of them and caches their
answers. ``worker`` is the process, ``answers`` handles the questions, ``frames`` defines the
messages. Only ``worker``, ``answers`` and ``units`` import torch.
"""
