"""Notes in the dashboard: people's labels of units, and the display and editing of notes."""
