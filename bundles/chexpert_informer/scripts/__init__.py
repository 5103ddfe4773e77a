"""Python that only this bundle needs: chest networks, losses, alarms, data preparation."""
