"""Bootstrap intervals, classification metrics, the metrics file and the predictions file."""
