"""The batch size that trains fastest: steps to a target times measured seconds."""
