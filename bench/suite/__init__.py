"""The suite's pytest plugins, and what its cases share."""
