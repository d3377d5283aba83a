"""Laws of batch size: numbers in, numbers out."""
