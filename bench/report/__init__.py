"""From measured cases to tables, sentences, figures and the page."""
