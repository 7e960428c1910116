"""What projects say of themselves: their documents, indexed from the repositories, searchable, summarised."""
