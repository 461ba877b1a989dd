"""What could be a person's problem, looked for: ``findings.py`` judges, ``examine.py`` looks."""
