"""What people use today, run with settings that its authors would accept."""
