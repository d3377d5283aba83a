"""From measured cases to laws, then to sentences, tables, figures and the page."""
