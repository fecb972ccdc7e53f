"""Local processes that work for one: they take orders as lines of JSON and answer in lines."""
