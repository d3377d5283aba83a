"""The search for the batch size that trains fastest."""
