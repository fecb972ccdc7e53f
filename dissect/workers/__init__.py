"""Worker processes, on this machine or on a cluster: they take orders and give answers."""
