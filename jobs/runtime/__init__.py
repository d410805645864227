"""Configuration, session, snapshot log, audit and logging: the only place with I/O policy."""
