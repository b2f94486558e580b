"""What people know from elsewhere, said in our command lines."""
