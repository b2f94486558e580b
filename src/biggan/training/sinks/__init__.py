"""Where numbers and pictures of a run go besides its own files: TensorBoard, Weights & Biases."""
