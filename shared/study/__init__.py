"""Studies that train and measure many models: settings, splits, doing the runs, and the table of the results."""
