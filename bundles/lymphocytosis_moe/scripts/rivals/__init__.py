"""What the networks are compared with: classifiers of attributes, hand-made features, multiple-instance classifiers."""
