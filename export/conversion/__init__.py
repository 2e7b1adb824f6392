"""From a network in PyTorch to the files of a model folder."""
