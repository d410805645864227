"""The market simulator behind `simulate_market`."""
