"""What looks, runs and people have to say to each other, as values."""
