"""From samples to counts: what is made of each sample, the pass that counts it, and its plan."""
