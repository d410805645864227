"""The simulated online experiment: people of the simulated market meet the retrieval of two releases."""
