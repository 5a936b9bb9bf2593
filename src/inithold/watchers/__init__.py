"""Listen to events; never steer."""
