"""Rendering: a worker process for each run owns its generator; web threads only send and wait.

``process`` is the web's side of a worker, ``renderers`` keeps a few of them and their last answers;
``worker`` is the process, ``answers`` the questions that it answers, ``frames`` the format of
messages. Only ``worker``, ``answers`` and ``units`` import torch.
"""
