"""Training and evaluation programs; they import the package, never the other way round."""
