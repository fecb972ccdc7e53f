"""How files of weights are read without running anything that is in them.

``machine`` carries out the instructions of a pickle, ``names`` says which names in it are only
kept and which are refused, ``meanings`` and ``tensors`` build the few things that are known,
``streams`` and ``zipped`` read the containers, ``folders`` finds the files of a folder, and
``flattening`` gives what was read flat names. ``bounds`` holds what all of it may cost.
"""
