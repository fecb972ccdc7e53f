"""Rendering: a worker process for each run owns its generator; web threads only send and wait.

``process`` is the web's side of a worker, ``renderers`` keeps a few of them and their last answers;
``worker`` is the process, ``answers`` what it can be asked, ``frames`` how both talk. Only
``worker``, ``answers`` and ``units`` import torch.
"""
