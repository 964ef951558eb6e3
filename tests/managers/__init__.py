"""What every container manager does, run with each of them."""
