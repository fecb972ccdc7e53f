"""Effects that are measured from the page: the command line in a process of its own."""
