"""What an allocator is asked for, and how torch's fares with it."""
