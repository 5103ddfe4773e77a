"""Multiple-instance learning: bags of any size, encoders in chunks, pooling operators and bag classifiers."""
