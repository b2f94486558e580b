"""What is said and drawn of the data before anything is trained."""
