"""Which value of a file plays which role, framework by framework."""
