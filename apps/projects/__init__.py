"""What people ask for: users, projects, tasks and their timeline, the repository and its template."""
