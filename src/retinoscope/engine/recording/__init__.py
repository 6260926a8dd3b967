"""What one clean run of a model shows, and how its layers and sites are reached."""
