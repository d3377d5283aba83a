"""What must hold: properties of the trainer, and of each instrument."""
