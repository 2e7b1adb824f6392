"""What only our own training runs need: packing data, moving weights, some minutes on a rented GPU."""
