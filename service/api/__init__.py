"""The REST API under `/v1`: resources with a state, problems, long polls, no logic of tuning."""
