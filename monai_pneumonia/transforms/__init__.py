"""Dictionary transforms from a file to the network's input and back."""
