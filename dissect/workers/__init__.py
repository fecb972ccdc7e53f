"""Local worker processes: they read orders as lines of JSON and answer in lines."""
