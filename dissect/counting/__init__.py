"""From samples to counts: the subject of a run, the pass that counts it, and its plan."""
