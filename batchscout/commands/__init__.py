"""The commands: `operate` runs a service on this machine, `ask` asks one."""
