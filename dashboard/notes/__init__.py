"""Notes in the dashboard: what people call units, and how notes are shown and changed."""
