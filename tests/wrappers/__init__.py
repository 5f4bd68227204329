"""What wraps the check: the action, the hook, the one file."""
