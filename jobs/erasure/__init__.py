"""`mmse forget`: what belongs to a person leaves every run that is retained."""
