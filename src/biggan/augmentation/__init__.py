"""What is done to images while D looks at them."""
