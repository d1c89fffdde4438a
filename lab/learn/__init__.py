"""What a learner does and knows: the timeline that they wrote, graded, and what the exercises cover."""
