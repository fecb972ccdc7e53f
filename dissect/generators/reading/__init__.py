"""Reading of weight files without running any code in them.

``machine`` executes the instructions of a pickle, ``names`` decides which names in it are kept and
which are an error, ``meanings`` and ``tensors`` build the few supported values, ``streams`` and
``zipped`` read the containers, ``folders`` finds the files of a folder, and ``flattening`` gives
flat names to the contents. ``bounds`` holds the limits on memory and counts.
"""
