"""Reports: hits in, text out."""
