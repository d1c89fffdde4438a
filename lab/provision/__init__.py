"""From a lab to its containers: images, plan, walls, readiness, and the receipt at the end."""
