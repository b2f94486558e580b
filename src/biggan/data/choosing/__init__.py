"""Sources over sources: classes chosen and merged, data sets mixed, images left out."""
